"""Connected websockets, and event streams for clients without websockets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.interfaces import MAX_BINDING_LENGTH
from kazoo_bridge.rest.openapi.envelopes import GREGORIAN, list_of, make_page, make_response, ref
from kazoo_bridge.rest.openapi.operations import Operation
from kazoo_bridge.rest.openapi.parameters import FILTERS, PAGES, in_query

_TEXT = {"type": "string"}

SCHEMAS: Mapping[str, Any] = {
    "Socket": {
        "type": "object",
        "description": "A connected client. Documents of KAZOO's own nodes are passed on unchanged",
        "required": ["websocket_session_id"],
        "properties": {
            "websocket_session_id": {"type": "string", "description": "The client's address and port"},
            "bindings": list_of(_TEXT),
            "timestamp": {**GREGORIAN, "description": "When it connected, in Gregorian seconds"},
            "name": {"description": "The name that the client has given"},
            "metadata": {"description": "Further data that the client has given"},
            "destination": {"type": "string", "description": "The node's host"},
            "source": {"type": "string", "description": "The client's address"},
            "events": {
                "type": "integer",
                "minimum": 0,
                "description": "How many events this node has delivered to the client since it connected",
            },
        },
        "additionalProperties": True,
    },
}

_SOCKETS = "/v2/accounts/{account_id}/websockets"
_SOCKET = f"{_SOCKETS}/{{socket_id}}"
_BINDING = in_query(
    "binding",
    "The bindings to subscribe to",
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
_AFTER = (
    "The id of the last event that the client received; the stream continues after it if that is possible"
)
_LAST_EVENT = {"name": "Last-Event-ID", "in": "header", "description": _AFTER, "schema": _TEXT}
_STREAM = {
    "description": "Server-sent events, each with the data of a websocket frame",
    "headers": {"X-Request-ID": {"description": "The request's id", "required": True, "schema": _TEXT}},
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}

OPERATIONS = (
    Operation(
        "get",
        _SOCKETS,
        "listSockets",
        "sockets",
        "The sockets of the account and of the caller's, newest first; without page_size all of them",
        {200: make_page("The sockets", ref("Socket"))},
        (*FILTERS, *PAGES),
    ),
    Operation(
        "get",
        _SOCKET,
        "readSocket",
        "sockets",
        "One socket",
        {200: make_response("The socket", ref("Socket"))},
    ),
    Operation(
        "delete",
        _SOCKET,
        "closeSocket",
        "sockets",
        "Closes a socket",
        {200: make_response("The socket as it was", ref("Socket"))},
    ),
    Operation(
        "get",
        "/v2/accounts/{account_id}/events",
        "streamEvents",
        "events",
        "Streams events until the client or the service ends the response",
        {200: _STREAM},
        (_BINDING, in_query("last_event_id", _AFTER, _TEXT), _LAST_EVENT),
    ),
)
