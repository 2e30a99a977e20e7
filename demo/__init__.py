"""The embedded default: what the demo model, its pictures and its style were made with."""
