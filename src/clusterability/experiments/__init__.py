"""Experiments of the paper as data, run here and set beside the published numbers."""
