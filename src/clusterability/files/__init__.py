"""Handling of users' files: checks before reading, and writing whole or not at all."""
