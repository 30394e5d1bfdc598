"""Live calls: who is talking, what has changed, and commands to them."""
