"""Whole models of the real dimensions, with random weights: written, loaded, trained, matched."""
