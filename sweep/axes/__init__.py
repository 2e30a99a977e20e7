"""One file per axis."""
