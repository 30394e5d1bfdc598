"""Live calls: an empty room for now."""
