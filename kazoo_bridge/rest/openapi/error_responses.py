"""Error responses: KAZOO's error words, and their schemas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kazoo_bridge.rest.openapi.envelopes import common_properties

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
        "target": {"description": "What the rule demands: the values, the type, the limit"},
        "cause": {"description": "What was given"},
        "value": {"description": "Like cause; of the rule enum"},
    },
}

_FIELDS = {
    "type": "object",
    "description": "By field (dotted for fields within objects), or by parameter of the query; then by rule: "
    "required, type, enum, minimum, maximum, minLength, maxLength, wrong_format, additionalProperties, and "
    "other rules of JSON schema",
    "additionalProperties": {"type": "object", "additionalProperties": _RULE},
}


def _error(message: Mapping[str, Any], data: Mapping[str, Any] = _MESSAGE) -> dict[str, Any]:
    """Return the schema of an error. Errors of requests that were not parsed have no id and no time."""
    return {
        "type": "object",
        "required": ["data", "error", "message", "status"],
        "properties": {
            "data": data,
            "error": {"type": "string", "description": "The HTTP status", "pattern": "^[45][0-9]{2}$"},
            "message": {"type": "string", "description": "KAZOO's error word", **message},
            "status": {"const": "error"},
            **common_properties(),
        },
    }


#: The data of errors of the connection itself, which has no details.
_NO_DETAILS = {"type": "object"}

SCHEMAS: Mapping[str, Any] = {
    "ValidationError": _error({"enum": ["validation error", "invalid data"]}, _FIELDS),
    "ParseError": _error(
        {"pattern": "^parse error: "}, {"type": "object", "properties": {"message": {"type": "string"}}}
    ),
    "InvalidCredentials": _error({"const": "invalid_credentials"}),
    "Forbidden": _error({"const": "forbidden"}),
    "BadIdentifier": _error({"const": "bad_identifier"}, _NOT_FOUND),
    "UnknownChannel": _error(
        {"const": "bad identifier"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}
    ),
    "MissingToken": _error({"const": "missing token in request"}),
    "InvalidMethod": _error({"const": "invalid_method"}),
    "TooSlow": _error({}, _NO_DETAILS),
    "Conflict": _error({"enum": ["datastore_conflict", "webhook_disabled", "account_has_descendants"]}),
    "NotReplayable": _error({"const": "not_replayable"}, _FIELDS),
    "Gone": _error({"const": "gone"}, _NOT_FOUND),
    "PreconditionFailed": _error({"const": "precondition_failed"}),
    "TooLarge": _error({"const": "too_large"}),
    "TooManyRequests": _error({"const": "too_many_requests"}),
    "UnspecifiedFault": _error({"const": "unspecified_fault"}),
    "Unavailable": _error(
        {"anyOf": [{"const": "datastore_fault"}, {"pattern": "^too many connections are open: "}]},
        _NO_DETAILS,
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
        _response("The token (or API key) is missing or invalid", "InvalidCredentials"),
    ),
    403: ("Forbidden", _response("The token is valid, and gives no access", "Forbidden")),
    404: (
        "NotFound",
        _response(
            "The id or the path does not exist, or the token to be described is not in the body",
            "BadIdentifier",
            "UnknownChannel",
            "MissingToken",
        ),
    ),
    405: (
        "MethodNotAllowed",
        _response(
            "The verb that the POST carries is not a method",
            "InvalidMethod",
            headers={"Allow": {"description": "The methods that the path has", "schema": {"type": "string"}}},
        ),
    ),
    408: ("RequestTimeout", _response("The request arrives too slowly; the connection is closed", "TooSlow")),
    409: (
        "Conflict",
        _response(
            "Another client has changed the document meanwhile: read it again, then repeat; or the webhook of"
            " the deliveries is disabled: enable it, then repeat; or the attempt cannot be replayed;"
            " or the account has accounts below it: delete those first",
            "Conflict",
            "NotReplayable",
        ),
    ),
    410: ("Gone", _response("The request has been answered, or its time is over", "Gone")),
    412: (
        "PreconditionFailed",
        _response(
            "The document is not at a revision that If-Match or If-None-Match allows", "PreconditionFailed"
        ),
    ),
    413: (
        "ContentTooLarge",
        _response(
            "The body has more than 1 048 576 bytes, or than 65 536 without a token in the head", "TooLarge"
        ),
    ),
    429: (
        "TooManyRequests",
        _response(
            "Too many requests, or too many wrong API keys from this address",
            "TooManyRequests",
            headers={"Retry-After": {"description": "Seconds to wait", **_SECONDS}},
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


def error_responses(statuses: Iterable[int]) -> dict[str, Any]:
    """Return references to the responses of these statuses, by status."""
    return {str(status): {"$ref": f"#/components/responses/{_BY_STATUS[status][0]}"} for status in statuses}
