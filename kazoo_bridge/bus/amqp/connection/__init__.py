"""Connections to the broker: channels, login, failover, reconnecting."""
