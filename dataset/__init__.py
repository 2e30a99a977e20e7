"""From a folder of pictures to training items: scan, captions, buckets, latents."""
