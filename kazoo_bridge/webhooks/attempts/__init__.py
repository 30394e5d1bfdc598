"""Attempts: make, record, and judge the health of hooks."""
