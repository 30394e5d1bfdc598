"""What can be had: kinds of hooks, samples of what they send, bindings of websockets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.rest.openapi.envelopes import answer, listed, ref
from kazoo_bridge.rest.openapi.operations import Access, Operation
from kazoo_bridge.rest.openapi.parameters import FILTERS

_TEXT = {"type": "string"}

SCHEMAS: Mapping[str, Any] = {
    "HookType": {
        "type": "object",
        "required": ["id", "name", "description", "modifiers"],
        "properties": {
            "id": {"type": "string", "description": "What a hook names in hook"},
            "name": _TEXT,
            "description": _TEXT,
            "modifiers": {
                "type": "object",
                "description": "What such a hook chooses in custom_data: by key the values that there are, in items",
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
        "description": "A payload, as such hooks send it",
        "additionalProperties": True,
    },
}

_BINDINGS = {
    "type": "object",
    "description": "By category; what stands in braces is to be filled in",
    "additionalProperties": listed(_TEXT),
}

OPERATIONS = (
    Operation(
        "get",
        "/v2/webhooks",
        "listHookTypes",
        "catalogue",
        "The kinds of hooks; a super-admin's token also shows what only they may choose",
        {200: answer("The kinds", listed(ref("HookType")))},
        access=Access.TOKEN_OR_NONE,
    ),
    Operation(
        "get",
        "/v2/webhooks/samples",
        "listSamples",
        "catalogue",
        "Which samples there are",
        {200: answer("Their ids", listed({"type": "string", "pattern": "^webhooks_"}))},
        access=Access.ANYBODY,
    ),
    Operation(
        "get",
        "/v2/webhooks/samples/{sample_id}",
        "readSamples",
        "catalogue",
        "What such hooks send, one payload for every kind of event",
        {200: answer("The payloads", listed(ref("Sample")))},
        FILTERS,
        access=Access.ANYBODY,
        refusals=(404,),
    ),
    Operation(
        "get",
        "/v2/websockets",
        "listBindings",
        "catalogue",
        "What websockets and streams of events can subscribe to",
        {200: answer("The bindings", _BINDINGS)},
        access=Access.TOKEN_OR_NONE,
    ),
)
