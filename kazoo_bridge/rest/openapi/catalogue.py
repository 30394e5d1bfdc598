"""Types of hooks, samples of what they send, and bindings of websockets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.rest.openapi.envelopes import list_of, make_response, ref
from kazoo_bridge.rest.openapi.operations import Access, Operation
from kazoo_bridge.rest.openapi.parameters import FILTERS

_TEXT = {"type": "string"}

SCHEMAS: Mapping[str, Any] = {
    "HookType": {
        "type": "object",
        "required": ["id", "name", "description", "modifiers"],
        "properties": {
            "id": {"type": "string", "description": "The value of `hook` in hook documents"},
            "name": _TEXT,
            "description": _TEXT,
            "modifiers": {
                "type": "object",
                "description": "Keys of custom_data by which such a hook selects events; items: the values",
                "additionalProperties": {
                    "type": "object",
                    "required": ["items"],
                    "properties": {
                        "type": _TEXT,
                        "description": _TEXT,
                        "default": {},
                        "items": {"type": ["array", "object"]},
                    },
                    "additionalProperties": True,
                },
            },
        },
    },
    "Sample": {
        "type": "object",
        "description": "A payload that such hooks send",
        "additionalProperties": True,
    },
}

_BINDINGS = {
    "type": "object",
    "description": "By category; the parts in braces are to be filled in",
    "additionalProperties": list_of(_TEXT),
}

OPERATIONS = (
    Operation(
        "get",
        "/v2/webhooks",
        "listHookTypes",
        "catalogue",
        "The types of hooks; a super-admin's token also shows the values that only super-admins may choose",
        {200: make_response("The types", list_of(ref("HookType")))},
        access=Access.TOKEN_OR_NONE,
    ),
    Operation(
        "get",
        "/v2/webhooks/samples",
        "listSamples",
        "catalogue",
        "The ids of all samples",
        {200: make_response("Their ids", list_of({"type": "string", "pattern": "^webhooks_"}))},
        access=Access.ANY_CLIENT,
    ),
    Operation(
        "get",
        "/v2/webhooks/samples/{sample_id}",
        "readSamples",
        "catalogue",
        "The payloads that such hooks send, one for each kind of event",
        {200: make_response("The payloads", list_of(ref("Sample")))},
        FILTERS,
        access=Access.ANY_CLIENT,
        refusals=(404,),
    ),
    Operation(
        "get",
        "/v2/websockets",
        "listBindings",
        "catalogue",
        "The bindings that websockets and event streams can subscribe to",
        {200: make_response("The bindings", _BINDINGS)},
        access=Access.TOKEN_OR_NONE,
    ),
)
