"""Users' files: checks before reading, and writing that leaves no partial file."""
