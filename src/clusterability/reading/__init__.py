"""Readers of files of models, weights and graphs. Files are data: nothing in them is run."""
