"""One file per kind of network: its modules, and their names in diffusers."""
