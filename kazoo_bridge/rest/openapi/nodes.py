"""The nodes, and what happened to an event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.rest.openapi.envelopes import list_of, make_response, ref
from kazoo_bridge.rest.openapi.operations import Operation

_TEXT = {"type": "string"}
_OPEN_OBJECT: Mapping[str, Any] = {"type": "object", "additionalProperties": True}

SCHEMAS: Mapping[str, Any] = {
    "Node": {
        "type": "object",
        "description": "What one node says of itself. Numbers that are not known at present are null",
        "required": ["node"],
        "properties": {
            "node": _TEXT,
            "version": _TEXT,
            "ready": {"type": "boolean"},
            "problems": list_of(_TEXT),
            "degraded": list_of(_TEXT),
        },
        "additionalProperties": True,
    },
    "Trace": {
        "type": "object",
        "description": "What nodes have in memory, and the storage has, of an id. Times are in Unix seconds",
        "required": ["id", "nodes", "attempts", "deliveries"],
        "properties": {
            "id": _TEXT,
            "nodes": {
                **list_of(_OPEN_OBJECT),
                "description": "By node: the events, the hooks that each fired, why others did not fire, and "
                "how many sockets received it; or the problem of a node that does not answer in time",
            },
            "attempts": {**list_of(_OPEN_OBJECT), "description": "The requests to hooks that are recorded"},
            "deliveries": {**list_of(_OPEN_OBJECT), "description": "What waits, or was given up"},
        },
    },
}

OPERATIONS = (
    Operation(
        "get",
        "/v2/nodes",
        "listNodes",
        "operating",
        "The status of all nodes, for super-admins",
        {200: make_response("The nodes that answer", list_of(ref("Node")))},
        refusals=(403,),
    ),
    Operation(
        "get",
        "/v2/traces/{trace_id}",
        "trace",
        "operating",
        "What happened to an event of any account, for super-admins",
        {200: make_response("What is known", ref("Trace"))},
        refusals=(403,),
    ),
    Operation(
        "get",
        "/v2/accounts/{account_id}/traces/{trace_id}",
        "traceOfAccount",
        "events",
        "What happened to an event of the account or one below it",
        {200: make_response("What is known", ref("Trace"))},
    ),
)
