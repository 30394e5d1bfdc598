"""What is no KAZOO resource: whether the service is well, its figures, the console, and this document."""

from __future__ import annotations

from typing import Any

from kazoo_bridge.rest.openapi.envelopes import ref
from kazoo_bridge.rest.openapi.operations import Access, Operation

_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_ERROR = {"application/json": {"schema": ref("Unavailable")}}

#: Where the document is served.
DOCUMENT_PATH = "/openapi.json"


def _plain(path: str, operation_id: str, summary: str, answers: dict[int, Any], **more: Any) -> Operation:
    return Operation("get", path, operation_id, "operating", summary, answers, access=Access.ANYBODY, **more)


_SETTINGS = {
    "type": "object",
    "required": ["websocket"],
    "properties": {
        "websocket": {
            "type": "object",
            "required": ["uri", "secure", "port"],
            "properties": {
                "uri": {"type": "string"},
                "secure": {"type": "boolean"},
                "port": {"type": "integer"},
            },
        }
    },
}

OPERATIONS = (
    _plain(
        "/healthz",
        "isAlive",
        "Whether the process lives",
        {200: {"description": "It does", "content": _TEXT}},
    ),
    _plain(
        "/readyz",
        "isReady",
        "Whether events come in and the storage answers",
        {
            200: {"description": "It is so", "content": _TEXT},
            503: {"description": "It is not: a reason a line", "content": {**_TEXT, **_ERROR}},
        },
    ),
    _plain(
        "/metrics",
        "readFigures",
        "Figures of this node, for Prometheus",
        {200: {"description": "The figures", "content": _TEXT}},
    ),
    _plain(
        DOCUMENT_PATH,
        "describeService",
        "This document",
        {
            200: {
                "description": "OpenAPI 3.1",
                "content": {"application/json": {"schema": {"type": "object", "additionalProperties": True}}},
            }
        },
    ),
    _plain(
        "/console",
        "openConsole",
        "The operator console, a page",
        {
            200: {
                "description": "The page, at /console/",
                "content": {"text/html": {"schema": {"type": "string"}}},
            },
            302: {"description": "To the same with a slash at the end"},
        },
    ),
    _plain(
        "/console/settings.json",
        "readConsoleSettings",
        "What the page must know of this installation",
        {
            200: {
                "description": "Where the websockets are",
                "content": {"application/json": {"schema": _SETTINGS}},
            }
        },
    ),
    _plain(
        "/console/{name}",
        "readConsoleFile",
        "A file of the page",
        {
            200: {"description": "The file", "content": {"*/*": {}}},
            304: {"description": "The file is at a revision of If-None-Match"},
        },
        refusals=(404,),
    ),
)
