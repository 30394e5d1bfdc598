"""Lasting connections: sockets that subscribe to bindings, receive events and issue commands."""
