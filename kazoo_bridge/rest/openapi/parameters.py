"""Parameters of paths, queries and headers that several operations share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kazoo_bridge.rest.http.filters import MAX_TESTS
from kazoo_bridge.rest.http.pagination import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from kazoo_bridge.rest.http.query import MAX_NUMBER

Parameter = Mapping[str, Any]


def in_query(name: str, description: str, schema: Mapping[str, Any], **more: Any) -> Parameter:
    """Return a parameter of the query."""
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


def _in_header(name: str, description: str) -> Parameter:
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
    _in_path("delivery_id", "The delivery's id; receivers get it as webhook-id"),
    _in_path("attempt_id", "The attempt's id"),
    _in_path("sample_id", "An id from the list of samples, such as webhooks_channel_create"),
    _in_path("socket_id", "The socket's websocket_session_id: the client's address and port"),
    _in_path("call_id", "The channel's call id, percent-encoded; a slash in it as %2F"),
    _in_path("token_id", "The token's id in the list of tokens: a digest, not the token"),
    _in_path("user_id", "The user's id"),
    _in_path("device_id", "The device's id"),
    _in_path("group_id", "The group's id"),
    _in_path("pivot_point_id", "The pivot point's id"),
    _in_path("pivot_id", "The request's id, from pivot_request"),
    _in_path("secret", "The secret of the pivot point's URL"),
    _in_path("number", "The number, as a person would dial it; percent-encoded"),
    _in_path("app_id", "The id of an app of monster-ui, such as webhooks"),
    _in_path(
        "trace_id",
        "The Msg-ID of an event, a Call-ID, or the id of an event or delivery",
        minLength=6,
        maxLength=255,
    ),
    _in_path("name", "The file's path within the page"),
)

_REQUEST_ID = _in_header(
    "X-Request-ID", "1 to 64 printable characters, returned as request_id; generated without it"
)

_REVISIONS = (
    _in_header("If-Match", "Revisions; a write is refused (412) unless the document is at one of them"),
    _in_header(
        "If-None-Match",
        "Revisions; if the document is at one of them, a read is answered with 304, and a write with 412",
    ),
)

_KEYS = {"type": "array", "items": {"type": "string"}, "maxItems": MAX_TESTS}
_TIME = {"type": "integer", "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER}
_GREGORIAN = "Gregorian seconds: Unix seconds + 62167219200"


def _keys_filter(name: str, description: str) -> Parameter:
    return in_query(name, f"Dotted keys; only items that {description}", _KEYS, style="form", explode=True)


_FILTERS = (
    in_query(
        "filters",
        "Any number of parameters filter_K=V and filter_not_K=V, where K is a key, dotted for keys within "
        "objects: only items that have, or do not have, the value V there. V can be a JSON list: one of its "
        "values",
        {
            "type": "object",
            "patternProperties": {"^filter_.": {"type": "string"}},
            "maxProperties": MAX_TESTS,
            "additionalProperties": False,
        },
        style="form",
        explode=True,
        example={"filter_enabled": "true"},
    ),
    _keys_filter("has_key", "have the key, with a value other than null"),
    _keys_filter("key_missing", "do not have the key, or null"),
    _keys_filter("has_value", "have a value there that is not empty"),
    _keys_filter(
        "missing_value", "have no value there, or an empty one: null, zero, or an empty text, list or object"
    ),
    _keys_filter("value_missing", "missing_value accepts"),
    in_query("created_from", f"Created then or later. {_GREGORIAN}", _TIME),
    in_query("created_to", f"Created then or earlier. {_GREGORIAN}", _TIME),
    in_query("modified_from", f"Last modified then or later. {_GREGORIAN}", _TIME),
    in_query("modified_to", f"Last modified then or earlier. {_GREGORIAN}", _TIME),
)

_PAGES = (
    in_query(
        "page_size",
        f"Items per page; larger values are reduced to {MAX_PAGE_SIZE}",
        {"type": "integer", "minimum": 1, "maximum": MAX_NUMBER, "default": DEFAULT_PAGE_SIZE},
    ),
    in_query("start_key", "next_start_key of the previous page, unchanged", {"type": "string"}),
    in_query(
        "paginate",
        "false: all items in one page, up to its largest size",
        {"type": "boolean", "default": True},
    ),
)

#: All parameters by name, for the document's components.
COMPONENTS: Mapping[str, Parameter] = {
    one["name"]: one for one in (*_PATH, _REQUEST_ID, *_REVISIONS, *_FILTERS, *_PAGES)
}


def shared(name: str) -> Parameter:
    """Return a reference to the parameter of that name."""
    return {"$ref": f"#/components/parameters/{name}"}


def _shared(parameters: Iterable[Parameter]) -> tuple[Parameter, ...]:
    return tuple(shared(one["name"]) for one in parameters)


REQUEST_ID = shared("X-Request-ID")

#: Parameters of operations on documents that have revisions.
REVISIONS = _shared(_REVISIONS)

#: Parameters of lists.
FILTERS, PAGES = _shared(_FILTERS), _shared(_PAGES)
