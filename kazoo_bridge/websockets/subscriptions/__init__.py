"""Subscriptions: bindings, their index, and the fanout of events."""
