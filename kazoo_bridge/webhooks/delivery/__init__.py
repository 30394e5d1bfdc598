"""Deliveries: dispatch, fair scheduling, retries, dead letters."""
