"""New calls: originate, eavesdrop, quickcall."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.calls.new_calls.request import MAX_TIMEOUT, MIN_TIMEOUT, NEW_CALL_SCHEMAS
from kazoo_bridge.rest.openapi.envelopes import make_bare_body, make_response, ref
from kazoo_bridge.rest.openapi.operations import Operation
from kazoo_bridge.rest.openapi.parameters import in_query

Schema = dict[str, Any]


def _name(command: str, suffix: str) -> str:
    return command.capitalize() + suffix


def _in_data(command: str) -> Schema:
    return {
        "type": "object",
        "required": ["action", "data"],
        "properties": {"action": {"const": command}, "data": ref(_name(command, "Arguments"))},
    }


def _beside_action(command: str) -> Schema:
    schema = NEW_CALL_SCHEMAS[command]
    return {
        **schema,
        "required": ["action", *schema["required"]],
        "properties": {"action": {"const": command}, **schema["properties"]},
    }


_COMMANDS: Mapping[str, Schema] = {
    name: schema
    for command in NEW_CALL_SCHEMAS
    for name, schema in (
        (_name(command, "Arguments"), dict(NEW_CALL_SCHEMAS[command])),
        (_name(command, "Command"), _in_data(command)),
        (_name(command, "FlatCommand"), _beside_action(command)),
    )
}

SCHEMAS: Mapping[str, Any] = {
    **_COMMANDS,
    "NewCall": {
        "type": "object",
        "description": "A new call, and what is known of it",
        "required": ["command_id", "command", "account_id", "status"],
        "properties": {
            "command_id": {"type": "string"},
            "command": {"type": "string", "enum": list(NEW_CALL_SCHEMAS)},
            "account_id": {"type": "string"},
            "call_id": {"type": "string", "description": "The leg of the telephone that rings"},
            "call_ids": {"type": "array", "items": {"type": "string"}},
            "status": {
                "type": "string",
                "enum": ["initiated", "ringing", "answered", "started", "failed", "unknown"],
            },
            "reason": {"type": "string", "description": "Why it failed, such as NO_ANSWER"},
        },
    },
}

_BODY = make_bare_body(
    {
        "anyOf": [
            {
                "type": "object",
                "required": ["data"],
                "properties": {
                    "data": {"anyOf": [ref(name) for name in _COMMANDS if name.endswith("Command")]}
                },
            },
            *(ref(_name(command, "Command")) for command in NEW_CALL_SCHEMAS),
        ]
    },
    examples={
        "originate": {
            "data": {
                "action": "originate",
                "data": {"from_type": "user", "from_id": "0b4f6a1c8d2e4937a5b0c1d2e3f40516", "to": "2003"},
            }
        },
        "listen": {
            "data": {
                "action": "eavesdrop",
                "data": {
                    "call_id": "3d1f@192.0.2.7",
                    "from_type": "device",
                    "from_id": "5a2b7c1d8e3f4a6095b1c2d3e4f50617",
                    "mode": "listen",
                },
            }
        },
    },
)

_ANSWERS = {202: make_response("What the switch has reported within a short time", ref("NewCall"))}

_OPTIONS = (
    in_query(
        "auto_answer", "Whether a single device answers by itself", {"type": "boolean", "default": True}
    ),
    in_query("cid-name", "The name that the number sees", {"type": "string"}),
    in_query("cid-number", "The number that the number sees", {"type": "string"}),
    in_query(
        "timeout",
        "Seconds for which the telephones ring",
        {"type": "integer", "minimum": MIN_TIMEOUT, "maximum": MAX_TIMEOUT, "default": 30},
    ),
    in_query(
        "number_filter",
        "false: spaces, commas, dots, hyphens and parentheses in the number are not removed",
        {"type": "string", "enum": ["true", "false"], "default": "true"},
    ),
)

OPERATIONS = (
    Operation(
        "put",
        "/v2/accounts/{account_id}/channels",
        "placeCall",
        "channels",
        "Makes a new call: a telephone rings, and is connected to a number or to a call",
        _ANSWERS,
        body=_BODY,
    ),
    *(
        Operation(
            method,
            f"/v2/accounts/{{account_id}}/{kind}s/{{{kind}_id}}/quickcall/{{number}}",
            f"{operation}{kind.capitalize()}Quickcall",
            "channels",
            f"Lets the telephones of a {kind} ring, and connects them to a number",
            _ANSWERS,
            _OPTIONS,
            refusals=(405,),
        )
        for kind in ("user", "device")
        for method, operation in (("get", "place"), ("post", "post"))
    ),
)
