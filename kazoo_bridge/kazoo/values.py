"""How KAZOO writes time and truth: Gregorian seconds, and booleans that may be text."""

from __future__ import annotations

#: Seconds between the Gregorian year 0, from which KAZOO counts, and the Unix epoch.
GREGORIAN_OFFSET = 62167219200


def to_gregorian(unix_seconds: float) -> int:
    """Return Unix seconds as Gregorian seconds; fractions are dropped."""
    return int(unix_seconds) + GREGORIAN_OFFSET


def from_gregorian(gregorian_seconds: int) -> int:
    """Return Gregorian seconds as Unix seconds."""
    return gregorian_seconds - GREGORIAN_OFFSET


def is_true(value: object) -> bool:
    """Return True if `value` is ``true`` or the text ``true`` in any case.

    The switch writes the booleans of channel variables as text.
    """
    return value is True or (isinstance(value, str) and value.lower() == "true")
