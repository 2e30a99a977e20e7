"""Which modules of an architecture are trained, by preset, and what its blocks are called."""
