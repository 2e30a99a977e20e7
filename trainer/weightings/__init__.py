"""One file per loss weighting."""
