"""Schemas of the envelopes around the ``data`` of requests and responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

#: A time.
GREGORIAN: Schema = {"type": "integer", "description": "Gregorian seconds: Unix seconds + 62167219200"}

_REQUEST_ID = {
    "X-Request-ID": {"description": "The request's id", "required": True, "schema": {"type": "string"}}
}
_ETAG = {"ETag": {"description": "The document's revision", "required": True, "schema": {"type": "string"}}}


def ref(name: str) -> Schema:
    """Return a reference to the schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(items: Schema) -> Schema:
    """Return the schema of a list of `items`."""
    return {"type": "array", "items": items}


def common_properties() -> dict[str, Any]:
    """Return the schemas of the keys that every envelope can have beside ``data``."""
    return {
        "node": {"type": "string", "description": "The name of the node that answers"},
        "request_id": {"type": "string"},
        "timestamp": {"type": "string", "format": "date-time"},
        "auth_token": {"type": "string", "description": "The token, if the request had a valid one"},
        "version": {
            "type": "string",
            "description": "The version of the service, if the request had a valid token",
        },
    }


def envelope(data: Schema, **more: Schema) -> Schema:
    """Return the schema of a successful response; `more` are the required keys beside ``data``."""
    return {
        "type": "object",
        "required": ["data", "node", "request_id", "status", "timestamp", *more],
        "properties": {"data": data, "status": {"const": "success"}, **more, **common_properties()},
    }


def make_response(description: str, data: Schema, **more: Schema) -> dict[str, Any]:
    """Return the response with `envelope`; its parameters are those of `envelope`."""
    return _response(description, envelope(data, **more), _REQUEST_ID)


def make_page(description: str, items: Schema) -> dict[str, Any]:
    """Return the response with a page of a list of `items`."""
    size: Schema = {"type": "integer", "minimum": 0, "description": "Items of this page"}
    schema = envelope(list_of(items), page_size=size)
    keys = {
        "start_key": {"type": "string", "description": "The key of this page, if the request had one"},
        "next_start_key": {"type": "string", "description": "The key of the next page, if there is one"},
    }
    return _response(description, {**schema, "properties": {**schema["properties"], **keys}}, _REQUEST_ID)


def make_page_or_table(description: str, items: Schema) -> dict[str, Any]:
    """Return the response with a page of a list of `items`, or the same as CSV."""
    page = make_page(description, items)
    table = {"schema": {"type": "string", "description": "Keys of nested objects are joined by a dot"}}
    return {**page, "content": {**page["content"], "text/csv": table}}


def make_revised_response(description: str, data: Schema) -> dict[str, Any]:
    """Return the response with a document that has a revision."""
    return _response(description, envelope(data, revision={"type": "string"}), {**_REQUEST_ID, **_ETAG})


#: The response to a client that has the document's revision already.
NOT_MODIFIED: Mapping[str, Any] = {
    "description": "The document is at a revision of `If-None-Match`",
    "headers": {**_REQUEST_ID, **_ETAG},
}


def _response(description: str, schema: Schema, headers: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "description": description,
        "headers": headers,
        "content": {"application/json": {"schema": schema}},
    }


def make_body(
    data: Schema, *, required: bool = True, examples: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a request body ``{"data": data}``; `examples` are whole bodies by name."""
    return make_bare_body(
        {"type": "object", "required": ["data"], "properties": {"data": data}},
        required=required,
        examples=examples,
    )


def make_bare_body(
    schema: Schema, *, required: bool = True, examples: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a request body that can have keys beside ``data``; `examples` are whole bodies by name."""
    content: dict[str, Any] = {"schema": schema}
    if examples:
        content["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {"required": required, "content": {"application/json": content}}
