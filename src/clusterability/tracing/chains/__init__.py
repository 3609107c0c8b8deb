"""State dicts taken as chains: the order of their weights, and the wiring of that order."""
