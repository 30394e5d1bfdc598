"""The apps of monster-ui, and the version of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.rest.openapi.envelopes import list_of, make_response, ref
from kazoo_bridge.rest.openapi.operations import Operation

_TEXT = {"type": "string"}
_OPEN = {"type": "object", "additionalProperties": True}

SCHEMAS: Mapping[str, Any] = {
    "App": {
        "type": "object",
        "description": "An app of monster-ui, as crossbar lists it",
        "required": ["id", "name", "i18n", "allowed_users"],
        "properties": {"id": _TEXT, "name": _TEXT, "i18n": _OPEN, "allowed_users": _TEXT},
        "additionalProperties": True,
    },
}

_APPS = "/v2/accounts/{account_id}/apps_store"

OPERATIONS = (
    Operation(
        "get",
        _APPS,
        "listApps",
        "accounts",
        "The apps of monster-ui that work with this service",
        {200: make_response("The apps", list_of(ref("App")))},
    ),
    Operation(
        "get",
        f"{_APPS}/{{app_id}}",
        "readApp",
        "accounts",
        "One app of monster-ui",
        {200: make_response("The app", ref("App"))},
    ),
    Operation(
        "get",
        "/v2/about",
        "readAbout",
        "operating",
        "The version of the service",
        {
            200: make_response(
                "The version", {"type": "object", "required": ["version"], "properties": {"version": _TEXT}}
            )
        },
        refusals=(403,),
    ),
)
