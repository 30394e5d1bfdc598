"""Errors that cross more than one interface."""

from __future__ import annotations


class StorageUnavailable(Exception):
    """The storage did not answer, or refused for reasons of its own; trying again later may work."""
