"""Axes times axes makes cells; cells make a grid, a table and a decision."""
