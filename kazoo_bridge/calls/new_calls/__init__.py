"""Calls that commands make: a telephone rings, and is connected to a number or to a call."""
