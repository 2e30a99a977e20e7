"""One score per file."""
