"""Gregorian seconds, in which KAZOO counts time."""

from __future__ import annotations

#: Seconds between the Gregorian year 0, from which KAZOO counts, and the Unix epoch.
GREGORIAN_OFFSET = 62167219200


def to_gregorian(unix_seconds: float) -> int:
    """Unix seconds as whole Gregorian seconds."""
    return int(unix_seconds) + GREGORIAN_OFFSET


def from_gregorian(gregorian_seconds: int) -> int:
    """Gregorian seconds as Unix seconds."""
    return gregorian_seconds - GREGORIAN_OFFSET
