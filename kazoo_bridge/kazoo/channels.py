"""A channel (one leg of a call) in events and replies: account, called number, loopback, start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.kazoo.values import dialled_number, is_account_id, is_true


def channel_variables(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the event's ``Custom-Channel-Vars``; empty if it has none."""
    value = body.get("Custom-Channel-Vars")
    return value if type(value) is dict or isinstance(value, Mapping) else {}


def channel_account_id(body: Mapping[str, Any]) -> str | None:
    """Return the account that the channel belongs to, or None if the event names no account."""
    account_id = channel_variables(body).get("Account-ID")
    return account_id if is_account_id(account_id) else None


def called_number(body: Mapping[str, Any]) -> str | None:
    """Return the called number in the form of `dialled_number`, or None if the event names no number.

    The number is the user part of ``Request``, otherwise of ``To``.
    """
    users = (
        value.removeprefix("sip:").partition("@")[0]
        for name in ("Request", "To")
        if isinstance(value := body.get(name), str)
    )
    return next((number for user in users if (number := dialled_number(user)) is not None), None)


def is_loopback(body: Mapping[str, Any]) -> bool:
    """Return True for a loopback leg, which exists inside the switch only.

    The event says so in ``Channel-Is-Loopback``, or its ``Channel-Name`` starts with ``loopback/``.
    """
    name = body.get("Channel-Name")
    return is_true(body.get("Channel-Is-Loopback")) or (
        isinstance(name, str) and name.startswith("loopback/")
    )


def channel_start(channel: Mapping[str, Any]) -> int:
    """Return when a normalized `channel` of a reply was created, in Gregorian seconds; 0 when unknown."""
    return to_integer(channel.get("timestamp"), accept_text=True) or 0
