"""One file per picture format."""
