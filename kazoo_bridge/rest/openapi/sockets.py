"""Connected websockets, and streams of events for clients that have none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.interfaces import MAX_BINDING_LENGTH
from kazoo_bridge.rest.openapi.envelopes import GREGORIAN, answer, listed, ref
from kazoo_bridge.rest.openapi.operations import Operation
from kazoo_bridge.rest.openapi.parameters import FILTERS, in_query

_TEXT = {"type": "string"}

SCHEMAS: Mapping[str, Any] = {
    "Socket": {
        "type": "object",
        "description": "A connected client. What KAZOO's own nodes tell of theirs is passed on as it is",
        "required": ["websocket_session_id"],
        "properties": {
            "websocket_session_id": {"type": "string", "description": "The client's address and port"},
            "bindings": listed(_TEXT),
            "timestamp": {**GREGORIAN, "description": "When it connected, in Gregorian seconds"},
            "name": {"description": "What the client calls itself"},
            "metadata": {"description": "What else the client says of itself"},
            "destination": {"type": "string", "description": "The node's host"},
            "source": {"type": "string", "description": "The client's address"},
        },
        "additionalProperties": True,
    },
}

_SOCKETS = "/v2/accounts/{account_id}/websockets"
_SOCKET = f"{_SOCKETS}/{{socket_id}}"
_BINDING = in_query(
    "binding",
    "What to hear of",
    {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string", "minLength": 1, "maxLength": MAX_BINDING_LENGTH},
    },
    required=True,
    style="form",
    explode=True,
    example=["call.*.*"],
)
_AFTER = "The id of the last event that was seen; the stream goes on from there if it can"
_LAST_EVENT = {"name": "Last-Event-ID", "in": "header", "description": _AFTER, "schema": _TEXT}
_STREAM = {
    "description": "Server-sent events, each with the data that a websocket would get as a frame",
    "headers": {"X-Request-ID": {"description": "The request's id", "required": True, "schema": _TEXT}},
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}

OPERATIONS = (
    Operation(
        "get",
        _SOCKETS,
        "listSockets",
        "sockets",
        "The account's sockets on all nodes, newest first",
        {200: answer("The sockets", listed(ref("Socket")))},
        FILTERS,
    ),
    Operation(
        "get", _SOCKET, "readSocket", "sockets", "One socket", {200: answer("The socket", ref("Socket"))}
    ),
    Operation(
        "delete",
        _SOCKET,
        "closeSocket",
        "sockets",
        "Closes a socket",
        {200: answer("The socket that was", ref("Socket"))},
    ),
    Operation(
        "get",
        "/v2/accounts/{account_id}/events",
        "streamEvents",
        "events",
        "Events as they come, until either side has enough",
        {200: _STREAM},
        (_BINDING, in_query("last_event_id", _AFTER, _TEXT), _LAST_EVENT),
    ),
)
