"""Assembles and runs one node: wiring, the twistd service, signals, graceful shutdown, metrics."""
