"""Sockets, subscriptions and frames: an empty room for now."""
