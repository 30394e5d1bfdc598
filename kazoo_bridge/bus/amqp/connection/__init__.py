"""Connections to the broker: log in, fail over, reconnect, heartbeat."""
