"""What the bindings of all categories have in common: their words, and how they are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kazoo_bridge.interfaces import ALL_ACCOUNTS, Account, BindingRefused
from kazoo_bridge.kazoo import account_db, decode_key_part, encode_key_part, monthly_db

#: Around the turn of a month, documents of both months are heard of.
_OVERLAP = timedelta(hours=1)


def not_supported(what: str) -> BindingRefused:
    """There is no such event."""
    return BindingRefused(f"event {what} not supported")


def wrong_format(category: str, words: list[str]) -> BindingRefused:
    """The binding has too many or too few words."""
    return BindingRefused(f"invalid format for {category} subscription : {', '.join(words)}")


def id_segment(category: str, words: list[str], word: str) -> str:
    """An id, or ``*``, as it stands in routing keys; raises `BindingRefused` for what would match any number of words, or none."""
    if word == "*":
        return word
    plain = decode_key_part(word)
    # However it is written: a wildcard that was not seen as one would match what is others'.
    if plain in ("", "*", "#"):
        raise wrong_format(category, words)
    return encode_key_part(plain)


def account_segment(account: Account | None) -> str:
    """The account's id as a word of a pattern."""
    return ALL_ACCOUNTS if account is None else account.id


def database_segment(account: Account | None) -> str:
    """The account's database as a word of a pattern."""
    return ALL_ACCOUNTS if account is None else account_db(account.id)


def monthly_segments(account: Account | None, now: float) -> tuple[list[str], float | None]:
    """The account's monthly databases that matter now (one, or around the turn of a month two), and until when they do."""
    if account is None:
        return [ALL_ACCOUNTS], None
    here = datetime.fromtimestamp(now, UTC)
    months = dict.fromkeys((when.year, when.month) for when in (here - _OVERLAP, here, here + _OVERLAP))
    return [monthly_db(account.id, year, month) for year, month in months], _next_month(here)


def _next_month(here: datetime) -> float:
    """An hour before and an hour after each month's beginning, the databases that matter change."""
    first = here.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (first + timedelta(days=32)).replace(day=1)
    changes = (first + _OVERLAP, following - _OVERLAP, following + _OVERLAP)
    return min(change for change in changes if change > here).timestamp()
