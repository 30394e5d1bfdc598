"""Builds the KAZOO messages about live calls that this service publishes.

The formats are those of ``kapi_metaflow`` and ``kapi_call`` in ``2600hz/kazoo``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kazoo_bridge.kazoo import build_envelope, encode_key_part

#: Exchange, routing key, body.
Message = tuple[str, str, dict[str, Any]]

_COMMANDS, _CALLS = "metaflow", "callevt"

#: Every node that faces a switch is bound to this key.
_QUERIES = "call.status_req.channels"


def action_command(call_id: str, name: str, data: Mapping[str, Any]) -> Message:
    """Build the message of one command, with its name and data."""
    body = _command("action", call_id) | {"Action": name, "Data": dict(data)}
    return _COMMANDS, f"metaflow.action.{encode_key_part(call_id)}.{name}", body


def flow_command(call_id: str, steps: Mapping[str, Any]) -> Message:
    """Build the message of a metaflow; `steps` is its first step with all its children."""
    return (
        _COMMANDS,
        f"metaflow.flow.{encode_key_part(call_id)}",
        _command("flow", call_id) | {"Flow": dict(steps)},
    )


def account_channels_query(account_id: str) -> Message:
    """Build the query for an account's channels. Every node replies, even without channels."""
    body = {
        "Event-Category": "call_event",
        "Event-Name": "query_account_channels_req",
        "Account-ID": account_id,
        "Active-Only": False,
    }
    return _CALLS, _QUERIES, body


def all_channels_query() -> Message:
    """Build the query for the channels of all accounts (``cb_channels:get_account_id``)."""
    return account_channels_query("all")


def user_channels_query(account_id: str, usernames: Sequence[str], realm: str) -> Message:
    """Build the query for the channels of SIP user names of a realm, at least one."""
    names = sorted(set(usernames))
    body = {
        "Event-Category": "call_event",
        "Event-Name": "query_user_channels_req",
        "Account-ID": account_id,
        "Usernames": names,
        "Realm": realm,
        "Active-Only": False,
    }
    return _CALLS, f"call.status_req.{encode_key_part(f'{names[0]}:{realm}')}", body


def channel_query(call_id: str) -> Message:
    """Build the query for one channel. Only a node that has it replies."""
    body = {
        "Event-Category": "call_event",
        "Event-Name": "query_channels_req",
        "Call-ID": call_id,
        "Fields": "all",
        "Active-Only": True,
    }
    return _CALLS, _QUERIES, body


def _command(name: str, call_id: str) -> dict[str, Any]:
    return {**build_envelope("metaflow", name), "Call-ID": call_id}
