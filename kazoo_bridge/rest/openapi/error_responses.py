"""What requests are refused with: KAZOO's error words, and the shapes in which they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kazoo_bridge.rest.openapi.envelopes import about_the_answer

_MESSAGE = {"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}}

_NOT_FOUND = {
    "type": "object",
    "required": ["cause", "message"],
    "properties": {"cause": {"type": "string"}, "message": {"type": "string"}},
}

_RULE = {
    "type": "object",
    "required": ["message"],
    "properties": {
        "message": {"type": "string", "description": "What was expected"},
        "target": {"description": "What the rule demands: the values, the type, the bound"},
        "cause": {"description": "What was given"},
        "value": {"description": "The same, of the rule enum"},
    },
}

_FIELDS = {
    "type": "object",
    "description": "By field (dotted for fields within objects; parameters of the query in the same way), then by rule: required, type, "
    "enum, minimum, maximum, minLength, maxLength, wrong_format, additionalProperties and others that JSON schema names",
    "additionalProperties": {"type": "object", "additionalProperties": _RULE},
}


def _error(message: Mapping[str, Any], data: Mapping[str, Any] = _MESSAGE) -> dict[str, Any]:
    """The envelope of a refusal. What is refused before it is read as a request has no id and no time."""
    return {
        "type": "object",
        "required": ["data", "error", "message", "status"],
        "properties": {
            "data": data,
            "error": {"type": "string", "description": "The status of HTTP", "pattern": "^[45][0-9]{2}$"},
            "message": {"type": "string", "description": "The error's word", **message},
            "status": {"const": "error"},
            **about_the_answer(),
        },
    }


#: What is refused by the connection itself, which knows no details.
_UNREAD = {"type": "object"}

SCHEMAS: Mapping[str, Any] = {
    "ValidationError": _error({"const": "validation error"}, _FIELDS),
    "ParseError": _error(
        {"pattern": "^parse error: "}, {"type": "object", "properties": {"message": {"type": "string"}}}
    ),
    "InvalidCredentials": _error({"const": "invalid_credentials"}),
    "Forbidden": _error({"const": "forbidden"}),
    "BadIdentifier": _error({"const": "bad_identifier"}, _NOT_FOUND),
    "InvalidMethod": _error({"const": "invalid_method"}),
    "TooSlow": _error({}, _UNREAD),
    "Conflict": _error({"const": "datastore_conflict"}),
    "PreconditionFailed": _error({"const": "precondition_failed"}),
    "TooLarge": _error({"const": "too_large"}),
    "TooManyRequests": _error({"const": "too_many_requests"}),
    "UnspecifiedFault": _error({"const": "unspecified_fault"}),
    "Unavailable": _error(
        {"anyOf": [{"const": "datastore_fault"}, {"pattern": "^too many connections are open: "}]}, _UNREAD
    ),
}

_SECONDS = {"schema": {"type": "string", "pattern": "^[0-9]+$"}}


def _response(description: str, *names: str, headers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    schemas = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    response = {"description": description, "content": {"application/json": {"schema": schema}}}
    return response | ({"headers": headers} if headers else {})


_BY_STATUS: Mapping[int, tuple[str, Mapping[str, Any]]] = {
    400: (
        "BadRequest",
        _response(
            "The document or a parameter is wrong, or the request cannot be read",
            "ValidationError",
            "ParseError",
        ),
    ),
    401: (
        "Unauthorized",
        _response("There is no token (or API key), or none that is good", "InvalidCredentials"),
    ),
    403: ("Forbidden", _response("A good token, for what is not its own", "Forbidden")),
    404: ("NotFound", _response("There is no such thing", "BadIdentifier")),
    405: (
        "MethodNotAllowed",
        _response(
            "The verb that the POST carries is none",
            "InvalidMethod",
            headers={"Allow": {"description": "The verbs that there are", "schema": {"type": "string"}}},
        ),
    ),
    408: ("RequestTimeout", _response("The request arrives too slowly; the connection is closed", "TooSlow")),
    409: (
        "Conflict",
        _response("The document has changed meanwhile: read it again, then repeat", "Conflict"),
    ),
    412: (
        "PreconditionFailed",
        _response("The document is not at the revision that the request is meant for", "PreconditionFailed"),
    ),
    413: ("ContentTooLarge", _response("The body has more than a megabyte", "TooLarge")),
    429: (
        "TooManyRequests",
        _response(
            "Too many requests, or too many wrong API keys from this address",
            "TooManyRequests",
            headers={"Retry-After": {"description": "In so many seconds", **_SECONDS}},
        ),
    ),
    500: (
        "InternalServerError",
        _response("A defect; the operator finds it in the log under request_id", "UnspecifiedFault"),
    ),
    503: (
        "ServiceUnavailable",
        _response(
            "The storage or the message bus does not answer, or there are too many connections", "Unavailable"
        ),
    ),
}

RESPONSES: Mapping[str, Any] = dict(_BY_STATUS.values())


def refused(statuses: Iterable[int]) -> dict[str, Any]:
    """The responses of these statuses."""
    return {str(status): {"$ref": f"#/components/responses/{_BY_STATUS[status][0]}"} for status in statuses}
