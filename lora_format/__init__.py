"""LoRA files: one in-memory form, and one file per format and per model family."""
