"""One file per model family, pure data."""
