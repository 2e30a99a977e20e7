"""Descriptions and answers by a model that looks at pictures and writes."""
