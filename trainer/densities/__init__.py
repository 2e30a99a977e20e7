"""One file per timestep density."""
