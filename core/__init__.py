"""What every room of the house may use. Nothing in here knows ComfyUI."""
