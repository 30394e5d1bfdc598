"""The envelopes in which requests and answers carry their ``data``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

#: A moment.
GREGORIAN: Schema = {"type": "integer", "description": "Gregorian seconds: Unix seconds + 62167219200"}

_REQUEST_ID = {
    "X-Request-ID": {"description": "The request's id", "required": True, "schema": {"type": "string"}}
}
_ETAG = {"ETag": {"description": "The document's revision", "required": True, "schema": {"type": "string"}}}


def ref(name: str) -> Schema:
    """The schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(items: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": items}


def about_the_answer() -> dict[str, Any]:
    """What envelopes say beside ``data``, of every answer."""
    return {
        "node": {"type": "string", "description": "Who answers"},
        "request_id": {"type": "string"},
        "timestamp": {"type": "string", "format": "date-time"},
        "auth_token": {"type": "string", "description": "The token, where a good one was given"},
        "version": {"type": "string", "description": "The service's; only where a good token was given"},
    }


def envelope(data: Schema, **more: Schema) -> Schema:
    """A successful answer; `more` is what must stand beside ``data``."""
    return {
        "type": "object",
        "required": ["data", "node", "request_id", "status", "timestamp", *more],
        "properties": {"data": data, "status": {"const": "success"}, **more, **about_the_answer()},
    }


def answer(description: str, data: Schema, **more: Schema) -> dict[str, Any]:
    """The response for `envelope`."""
    return _response(description, envelope(data, **more), _REQUEST_ID)


def page(description: str, items: Schema) -> dict[str, Any]:
    """The response for one page of a list."""
    size: Schema = {"type": "integer", "minimum": 0, "description": "How many items this page has"}
    schema = envelope(listed(items), page_size=size)
    keys = {
        "start_key": {"type": "string", "description": "Where this page starts, if that was asked for"},
        "next_start_key": {"type": "string", "description": "Where the next page starts, if there is one"},
    }
    return _response(description, {**schema, "properties": {**schema["properties"], **keys}}, _REQUEST_ID)


def revised(description: str, data: Schema) -> dict[str, Any]:
    """The response for a document that has a revision."""
    return _response(description, envelope(data, revision={"type": "string"}), {**_REQUEST_ID, **_ETAG})


#: The client has this revision already.
UNCHANGED: Mapping[str, Any] = {
    "description": "The document is at a revision of If-None-Match",
    "headers": {**_REQUEST_ID, **_ETAG},
}


def _response(description: str, schema: Schema, headers: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "description": description,
        "headers": headers,
        "content": {"application/json": {"schema": schema}},
    }


def body(data: Schema, *, required: bool = True, examples: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A request's body: ``{"data": …}``."""
    return bare_body(
        {"type": "object", "required": ["data"], "properties": {"data": data}},
        required=required,
        examples=examples,
    )


def bare_body(
    schema: Schema, *, required: bool = True, examples: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A request's body that does not have all of it in ``data``. `examples` are bodies by what they show."""
    content: dict[str, Any] = {"schema": schema}
    if examples:
        content["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {"required": required, "content": {"application/json": content}}
