"""Users, devices and groups of an account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.rest.openapi.envelopes import list_of, make_page, make_response, ref
from kazoo_bridge.rest.openapi.operations import Operation
from kazoo_bridge.rest.openapi.parameters import FILTERS, PAGES

_TEXT = {"type": "string"}
_TEXTS = list_of(_TEXT)


def _row(description: str, required: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "required": list(required),
        "properties": {**required, **more},
    }


SCHEMAS: Mapping[str, Any] = {
    "User": _row(
        "A user, as crossbar lists it, and the numbers that call the user",
        {"id": _TEXT, "first_name": _TEXT, "last_name": _TEXT, "features": _TEXTS, "extensions": _TEXTS},
        username=_TEXT,
        email=_TEXT,
        presence_id=_TEXT,
        priv_level=_TEXT,
        timezone=_TEXT,
    ),
    "Device": _row(
        "A device, as crossbar lists it, and the numbers that call this device alone",
        {
            "id": _TEXT,
            "name": _TEXT,
            "mac_address": _TEXT,
            "enabled": {"type": "boolean"},
            "device_type": _TEXT,
            "extensions": _TEXTS,
        },
        owner_id=_TEXT,
        username={**_TEXT, "description": "The name with which it registers"},
    ),
    "Group": _row(
        "A group, as crossbar lists it",
        {
            "id": _TEXT,
            "name": _TEXT,
            "features": _TEXTS,
            "endpoints": {"type": "integer", "minimum": 0, "description": "The number of members"},
        },
    ),
    "MemberDocument": {
        "type": "object",
        "description": "KAZOO's document, without private keys and secrets",
        "required": ["id"],
        "properties": {"id": _TEXT},
        "additionalProperties": True,
    },
}

_A = "/v2/accounts/{account_id}"


def _operations(kind: str, schema: str, order: str) -> tuple[Operation, Operation]:
    return (
        Operation(
            "get",
            f"{_A}/{kind}s",
            f"list{schema}s",
            "people",
            f"The account's {kind}s, {order}; empty if the directory knows none",
            {200: make_page(f"The {kind}s", ref(schema))},
            (*FILTERS, *PAGES),
        ),
        Operation(
            "get",
            f"{_A}/{kind}s/{{{kind}_id}}",
            f"read{schema}",
            "people",
            f"The document of one {kind}",
            {200: make_response(f"The {kind}", ref("MemberDocument"))},
        ),
    )


OPERATIONS = (
    *_operations("user", "User", "by last and first name"),
    *_operations("device", "Device", "by id"),
    *_operations("group", "Group", "by id"),
)
