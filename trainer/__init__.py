"""Trains an adapter beside a frozen model. Nothing in here knows ComfyUI."""
