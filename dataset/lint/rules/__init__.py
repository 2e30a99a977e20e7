"""One file per rule, each declaring ``RULE``."""
