"""Parameters of paths, queries and heads that several operations share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kazoo_bridge.rest.http.pagination import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from kazoo_bridge.rest.http.query import MAX_NUMBER

Parameter = Mapping[str, Any]


def in_query(name: str, description: str, schema: Mapping[str, Any], **more: Any) -> Parameter:
    """A parameter behind the question mark."""
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


def _in_head(name: str, description: str) -> Parameter:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _in_path(name: str, description: str, **schema: Any) -> Parameter:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "minLength": 1, **schema},
    }


_PATH = (
    _in_path("account_id", "The account: 32 lower-case hexadecimal characters", pattern="^[0-9a-f]{32}$"),
    _in_path("hook_id", "The hook's id"),
    _in_path("delivery_id", "The delivery's id, as it is listed; receivers know it as webhook-id"),
    _in_path("sample_id", "An id from the list of samples, such as webhooks_channel_create"),
    _in_path("socket_id", "The socket's websocket_session_id: the client's address and port"),
    _in_path("call_id", "The channel's call id, percent-encoded; a slash in it as %2F"),
    _in_path("name", "The file's path within the page"),
)

_REQUEST_ID = _in_head(
    "X-Request-ID", "1 to 64 printable characters, given back as request_id; otherwise one is made up"
)

_REVISIONS = (
    _in_head("If-Match", "Revisions; a write is refused (412) unless the document is at one of them"),
    _in_head(
        "If-None-Match",
        "Revisions; when the document is at one of them reading answers 304, and a write is refused (412)",
    ),
)

_KEYS = {"type": "array", "items": {"type": "string"}}
_TIME = {"type": "integer", "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER}
_GREGORIAN = "Gregorian seconds: Unix seconds + 62167219200"


def _of_keys(name: str, description: str) -> Parameter:
    return in_query(name, f"Dotted keys; only what {description}", _KEYS, style="form", explode=True)


_FILTERS = (
    in_query(
        "filters",
        "Any number of parameters filter_K=V and filter_not_K=V, K being a key, dotted for keys within objects: only what has, or has "
        "not, the value V there. V may be a JSON list: one of these values",
        {
            "type": "object",
            "patternProperties": {"^filter_.": {"type": "string"}},
            "additionalProperties": False,
        },
        style="form",
        explode=True,
        example={"filter_enabled": "true"},
    ),
    _of_keys("has_key", "has the key, with a value other than null"),
    _of_keys("key_missing", "has not"),
    _of_keys("has_value", "has a value there that is not empty"),
    _of_keys(
        "missing_value", "has none there, or one that is empty: null, an empty text, list or object, zero"
    ),
    _of_keys("value_missing", "missing_value lets pass"),
    in_query("created_from", f"Created then or later. {_GREGORIAN}", _TIME),
    in_query("created_to", f"Created then or earlier. {_GREGORIAN}", _TIME),
    in_query("modified_from", f"Last modified then or later. {_GREGORIAN}", _TIME),
    in_query("modified_to", f"Last modified then or earlier. {_GREGORIAN}", _TIME),
)

_PAGES = (
    in_query(
        "page_size",
        f"How many items; more than {MAX_PAGE_SIZE} is taken as that",
        {"type": "integer", "minimum": 1, "maximum": MAX_NUMBER, "default": DEFAULT_PAGE_SIZE},
    ),
    in_query("start_key", "next_start_key of the page before, unchanged", {"type": "string"}),
    in_query("paginate", "false: everything at once", {"type": "boolean", "default": True}),
)

#: All of them, by name, as the document's components have them.
COMPONENTS: Mapping[str, Parameter] = {
    one["name"]: one for one in (*_PATH, _REQUEST_ID, *_REVISIONS, *_FILTERS, *_PAGES)
}


def shared(name: str) -> Parameter:
    """The parameter of that name, by reference."""
    return {"$ref": f"#/components/parameters/{name}"}


def _shared(parameters: Iterable[Parameter]) -> tuple[Parameter, ...]:
    return tuple(shared(one["name"]) for one in parameters)


REQUEST_ID = shared("X-Request-ID")

#: Of operations on documents that have revisions.
REVISIONS = _shared(_REVISIONS)

#: Of lists.
FILTERS, PAGES = _shared(_FILTERS), _shared(_PAGES)
