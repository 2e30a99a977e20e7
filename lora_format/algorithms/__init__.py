"""One file per adapter algorithm."""
