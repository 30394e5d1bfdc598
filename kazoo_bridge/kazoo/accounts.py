"""Account ids and the names of account databases."""

from __future__ import annotations

import re

#: The aggregate database, which holds a copy of every account document.
ACCOUNTS_DB = "accounts"


_ACCOUNT_ID = re.compile(r"[0-9a-f]{32}")


_ACCOUNT_DB = re.compile(
    r"account(?:/|%2[Ff])([0-9a-f]{2})(?:/|%2[Ff])([0-9a-f]{2})(?:/|%2[Ff])([0-9a-f]{28})(?:-(\d{6}))?"
)


def is_account_id(text: object) -> bool:
    """True for 32 lower-case hexadecimal characters."""
    return isinstance(text, str) and _ACCOUNT_ID.fullmatch(text) is not None


def account_db(account_id: str) -> str:
    """The account's database as payloads and routing keys spell it, ``account%2FAA%2FBB%2FREST``."""
    return f"account%2F{account_id[:2]}%2F{account_id[2:4]}%2F{account_id[4:]}"


def monthly_db(account_id: str, year: int, month: int) -> str:
    """The account's database for one month, ``…-YYYYMM``."""
    return f"{account_db(account_id)}-{year:04d}{month:02d}"


def account_from_db(database: object) -> str | None:
    """The account id in a database name (plain or monthly, either spelling), or None."""
    match = _ACCOUNT_DB.fullmatch(database) if isinstance(database, str) else None
    return match[1] + match[2] + match[3] if match else None
