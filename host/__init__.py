"""The one door to ComfyUI: model, conditioning, VAE, sampling, progress, paths, identity."""
