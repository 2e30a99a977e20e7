"""Measurements against ComfyUI's own trainer, loader and sampler. Never part of the tests."""
