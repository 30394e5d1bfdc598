"""How KAZOO writes values: account ids and databases, telephone numbers, time, booleans."""

from __future__ import annotations

import re

#: The aggregate database, which holds a copy of every account document.
ACCOUNTS_DB = "accounts"

#: Seconds between the Gregorian year 0, from which KAZOO counts, and the Unix epoch.
GREGORIAN_OFFSET = 62167219200

_ACCOUNT_ID = re.compile(r"[0-9a-f]{32}")
_ACCOUNT_DB = re.compile(
    r"account(?:/|%2[Ff])([0-9a-f]{2})(?:/|%2[Ff])([0-9a-f]{2})(?:/|%2[Ff])([0-9a-f]{28})(?:-(\d{6}))?"
)

_MAX_NUMBER_LENGTH = 64
_NUMBER_SEPARATORS = str.maketrans("", "", " -./()")
_NUMBER = re.compile(r"(\+?)([0-9]{2,32})")


def is_account_id(value: object) -> bool:
    """Return True if `value` is text of 32 lower-case hexadecimal characters."""
    return isinstance(value, str) and _ACCOUNT_ID.fullmatch(value) is not None


def account_db(account_id: str) -> str:
    """Return the name of the account's database as payloads and routing keys spell it.

    ``account_db("4f2c…")`` is ``account%2F4f%2F2c%2F…``.
    """
    return f"account%2F{account_id[:2]}%2F{account_id[2:4]}%2F{account_id[4:]}"


def monthly_db(account_id: str, year: int, month: int) -> str:
    """Return the name of the account's database for one month, ``account%2F…-YYYYMM``."""
    return f"{account_db(account_id)}-{year:04d}{month:02d}"


def account_from_db(database: object) -> str | None:
    """Return the account id that a database name contains.

    `database` is the plain or the monthly database, with slashes or with ``%2F``. The result is None
    for every other name and for everything that is not text.
    """
    match = _ACCOUNT_DB.fullmatch(database) if isinstance(database, str) else None
    return match[1] + match[2] + match[3] if match else None


def normalize_number(value: object) -> str | None:
    """Return the digits of a telephone number, without ``+`` and separators.

    ``normalize_number("+47 22 55.50-19")`` is ``"4722555019"``. The result is None if `value` is not
    text, or has fewer than 2 or more than 32 digits, or contains anything else.
    """
    match = _match_number(value)
    return match[2] if match else None


def dialled_number(value: object) -> str | None:
    """Return a telephone number without separators, with its ``+`` if it has one.

    A number with ``+`` begins with a country code; without it, that depends on the switch.
    ``dialled_number("+47 22 55.50-19")`` is ``"+4722555019"``. The result is None where that of
    `normalize_number` is.
    """
    match = _match_number(value)
    return match[0] if match else None


def _match_number(value: object) -> re.Match[str] | None:
    if not isinstance(value, str) or len(value) > _MAX_NUMBER_LENGTH:
        return None
    return _NUMBER.fullmatch(value.translate(_NUMBER_SEPARATORS))


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
