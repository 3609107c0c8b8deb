"""Readers of files that are data: models, weights and graphs. Nothing in them is run."""
