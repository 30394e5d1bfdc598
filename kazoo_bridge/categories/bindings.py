"""What the websocket bindings of all categories have in common: routing-key segments, and refusals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kazoo_bridge.interfaces import ALL_ACCOUNTS, Account, BindingRefused
from kazoo_bridge.kazoo import account_db, decode_key_part, encode_key_part, monthly_db

#: Around the turn of a month, both monthly databases are subscribed to for this long.
_MONTH_OVERLAP = timedelta(hours=1)


def unsupported_event(name: str) -> BindingRefused:
    """Return the refusal of a binding to an event that does not exist."""
    return BindingRefused(f"event {name} not supported")


def invalid_format(category: str, segments: list[str]) -> BindingRefused:
    """Return the refusal of a binding that has too many or too few segments.

    `category` is the binding's first segment, `segments` the others.
    """
    return BindingRefused(f"invalid format for {category} subscription : {', '.join(segments)}")


def id_segment(category: str, segments: list[str], segment: str) -> str:
    """Return the segment of a binding that contains an id or ``*``, encoded as in routing keys.

    Raises `BindingRefused` (as `invalid_format`) for an empty id and for ``#``, in every spelling.
    """
    if segment == "*":
        return segment
    plain = decode_key_part(segment)
    # An encoded wildcard would become one in the pattern, and match the events of other accounts.
    if plain in ("", "*", "#"):
        raise invalid_format(category, segments)
    return encode_key_part(plain)


def account_segment(account: Account | None) -> str:
    """Return the account's id as a segment of a pattern; None: every account."""
    return ALL_ACCOUNTS if account is None else account.id


def database_segment(account: Account | None) -> str:
    """Return the name of the account's database as a segment of a pattern; None: every account."""
    return ALL_ACCOUNTS if account is None else account_db(account.id)


def realm_segment(account: Account | None) -> str:
    """Return the account's realm as a segment of a pattern; None: every account.

    Raises `BindingRefused` if the account has no realm.
    """
    if account is None:
        return ALL_ACCOUNTS
    if account.realm in ("", "*", "#"):
        raise BindingRefused("the account has no realm, and nothing is known of its presence")
    return encode_key_part(account.realm)


def monthly_segments(account: Account | None, now: float) -> tuple[list[str], float | None]:
    """Return the segments of the account's monthly databases, and the time at which they change.

    `now` and the time are in Unix seconds. There is one database, and two around the turn of a month.
    With None for `account` the segment is ``*`` and never changes (None).
    """
    if account is None:
        return [ALL_ACCOUNTS], None
    current = datetime.fromtimestamp(now, UTC)
    moments = (current - _MONTH_OVERLAP, current, current + _MONTH_OVERLAP)
    months = dict.fromkeys((moment.year, moment.month) for moment in moments)
    return [monthly_db(account.id, year, month) for year, month in months], _next_change(current)


def _next_change(current: datetime) -> float:
    """Return when the monthly databases change next: an overlap before or after the first of a month."""
    first = current.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (first + timedelta(days=32)).replace(day=1)
    changes = (first + _MONTH_OVERLAP, following - _MONTH_OVERLAP, following + _MONTH_OVERLAP)
    return min(change for change in changes if change > current).timestamp()
