"""The messages about live calls that this service publishes: exchange, routing key and body of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.kazoo import build_envelope, encode_key_part

#: Exchange, routing key, body.
Message = tuple[str, str, dict[str, Any]]

_COMMANDS, _CALLS = "metaflow", "callevt"

#: On this key every switch-facing node is asked for channels.
_QUERIES = "call.status_req.channels"


def action_command(call_id: str, name: str, data: Mapping[str, Any]) -> Message:
    """One command to a call."""
    body = _command("action", call_id) | {"Action": name, "Data": dict(data)}
    return _COMMANDS, f"metaflow.action.{encode_key_part(call_id)}.{name}", body


def flow_command(call_id: str, steps: Mapping[str, Any]) -> Message:
    """A whole metaflow for a call."""
    return (
        _COMMANDS,
        f"metaflow.flow.{encode_key_part(call_id)}",
        _command("flow", call_id) | {"Flow": dict(steps)},
    )


def account_channels_query(account_id: str) -> Message:
    """The question for an account's channels; nodes that have none answer too."""
    body = {
        "Event-Category": "call_event",
        "Event-Name": "query_account_channels_req",
        "Account-ID": account_id,
        "Active-Only": False,
    }
    return _CALLS, _QUERIES, body


def channel_query(call_id: str) -> Message:
    """The question for one channel; only a node that has it answers."""
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
