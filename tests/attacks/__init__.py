"""Attacks on the service: inputs that must cost little or be refused."""
