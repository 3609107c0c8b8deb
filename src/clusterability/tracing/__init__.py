"""From a module's forward pass, or a state dict's names, to a wiring."""
