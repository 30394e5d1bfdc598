"""Operations that KAZOO does not have: health, metrics, console, documentation, and the OpenAPI document."""

from __future__ import annotations

from typing import Any

from kazoo_bridge.rest.openapi.envelopes import ref
from kazoo_bridge.rest.openapi.operations import Access, Operation
from kazoo_bridge.rest.openapi.parameters import in_query
from kazoo_bridge.rest.resources.operational import PARTS

_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_ERROR = {"application/json": {"schema": ref("Unavailable")}}

#: The path of the OpenAPI document.
DOCUMENT_PATH = "/openapi.json"


def _operation(path: str, operation_id: str, summary: str, answers: dict[int, Any], **more: Any) -> Operation:
    return Operation(
        "get", path, operation_id, "operating", summary, answers, access=Access.ANY_CLIENT, **more
    )


def _page(path: str, operation_id: str, summary: str) -> Operation:
    answers = {
        200: {
            "description": f"The page, at {path}/",
            "content": {"text/html": {"schema": {"type": "string"}}},
        },
        302: {"description": "To the same path with a slash at the end"},
        304: {"description": "The page is at a revision of If-None-Match"},
    }
    return _operation(path, operation_id, summary, answers)


def _file(path: str, operation_id: str, summary: str) -> Operation:
    answers = {
        200: {"description": "The file", "content": {"*/*": {}}},
        304: {"description": "The file is at a revision of If-None-Match"},
    }
    return _operation(path, operation_id, summary, answers, refusals=(404,))


_SETTINGS = {
    "type": "object",
    "required": ["websocket", "embedded", "eavesdrop"],
    "properties": {
        "embedded": {"type": "boolean"},
        "eavesdrop": {"type": "boolean", "description": "Whether operators may listen to calls"},
        "websocket": {
            "type": "object",
            "required": ["uri", "secure", "port"],
            "properties": {
                "uri": {"type": "string"},
                "secure": {"type": "boolean"},
                "port": {"type": "integer"},
            },
        },
    },
}

OPERATIONS = (
    _operation(
        "/healthz",
        "isAlive",
        "Whether the process is alive",
        {200: {"description": "The process is alive", "content": _TEXT}},
    ),
    _operation(
        "/readyz",
        "isReady",
        "Whether the bus delivers events and the storage answers",
        {
            200: {"description": "The node is ready; lines with `degraded:` may follow", "content": _TEXT},
            400: {"description": "The part is unknown", "content": _TEXT},
            503: {
                "description": "The node is not ready: one reason per line, perhaps also `degraded:` lines",
                "content": {**_TEXT, **_ERROR},
            },
        },
        parameters=(
            in_query(
                "part", "The part of the node that is asked about", {"type": "string", "enum": [*PARTS]}
            ),
        ),
    ),
    _operation(
        "/metrics",
        "readFigures",
        "The metrics of this node, for Prometheus",
        {200: {"description": "The metrics", "content": _TEXT}},
    ),
    _operation(
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
    _operation(
        "/",
        "openRoot",
        "The console",
        {302: {"description": "To the page of the operator console"}},
    ),
    _page("/console", "openConsole", "The page of the operator console"),
    _operation(
        "/console/settings.json",
        "readConsoleSettings",
        "The settings that the page needs",
        {
            200: {
                "description": "The location of the websockets",
                "content": {"application/json": {"schema": _SETTINGS}},
            }
        },
    ),
    _file("/console/{name}", "readConsoleFile", "A file of the page"),
    _page("/docs", "openDocumentation", "The documentation"),
    _file("/docs/{name}", "readDocumentation", "A page or file of the documentation"),
    _page("/docs/api", "openApiDescription", "The page that shows this document"),
    _file("/docs/api/{name}", "readApiDescriptionFile", "A file of that page"),
)
