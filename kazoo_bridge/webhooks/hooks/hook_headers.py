"""The request headers that a hook's owner adds.

Their values are secrets: they are stored beside the document, in which each is replaced by `MASK`. A client
that sends the mask back keeps the stored value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kazoo_bridge.interfaces import InvalidDocument
from kazoo_bridge.schema_errors import FieldErrors, add_errors, field_error
from kazoo_bridge.text_sanitizing import text_for_display

#: The name that monster-ui's webhooks app has for ``headers``.
HEADERS_ALIAS = "custom_request_headers"

#: Shown instead of each value.
MASK = "********"

MAX_HEADERS = 20

#: In characters; the total counts names and values.
MAX_HEADER_NAME_LENGTH, MAX_HEADER_VALUE_LENGTH, MAX_HEADERS_LENGTH = 64, 4096, 8192

_NAME = re.compile(r"[0-9A-Za-z!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")

#: Headers of the service's own, of the body, and of HTTP between two hosts (RFC 9110 and 9112).
_RESERVED = frozenset(
    {
        "x-hook-id",
        "x-account-id",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_RESERVED_PREFIX = "webhook-"

#: JSON schema of the key of a document, for clients; `header_errors` validates.
HEADERS_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "maxProperties": MAX_HEADERS,
    "propertyNames": {"pattern": f"^{_NAME.pattern}$", "maxLength": MAX_HEADER_NAME_LENGTH},
    "additionalProperties": {
        "type": "string",
        "pattern": f"^{_VALUE.pattern}$",
        "maxLength": MAX_HEADER_VALUE_LENGTH,
    },
    "description": f"Sent with every request. Values are never shown: reading shows {MASK}, and writing that"
    " keeps the value. Not those of the service (X-Hook-ID, X-Account-ID, webhook-…), of the body"
    " (Content-…), or of the connection (Host, Transfer-Encoding, …)",
}


def adopt_alias(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a client's document with ``headers`` for `HEADERS_ALIAS`, unless it has ``headers`` itself.

    ``headers`` as they are shown, with every value as `MASK`, count as none: the client has read the document
    and changed the alias.

    A pair without name and value, an empty row of monster-ui's form, is left out.
    """
    if HEADERS_ALIAS not in document:
        return document
    adopted = {name: value for name, value in document.items() if name != HEADERS_ALIAS}
    own = adopted.get("headers")
    if "headers" not in adopted or (
        isinstance(own, Mapping) and all(value == MASK for value in own.values())
    ):
        adopted["headers"] = without_empty_pair(document[HEADERS_ALIAS])
    return adopted


def without_empty_pair(pairs: object) -> Any:
    """Return an object without its pair of empty name and empty value; anything else is unchanged."""
    if isinstance(pairs, Mapping) and pairs.get("") == "":
        return {name: value for name, value in pairs.items() if name}
    return pairs


def normalize_names(headers: object) -> Any:
    """Return the headers with names in lower case; what is no object is returned unchanged."""
    return (
        {name.lower(): value for name, value in headers.items()} if isinstance(headers, Mapping) else headers
    )


def header_errors(headers: object) -> FieldErrors:
    """Return what is wrong with the key ``headers`` of a document, without any value."""
    if not isinstance(headers, Mapping):
        return field_error("headers", "type", target="object")
    if len(headers) > MAX_HEADERS:
        return field_error("headers", "maxProperties", target=MAX_HEADERS, cause=len(headers))
    errors: FieldErrors = {}
    names = [name.lower() for name in headers]
    for name, value in headers.items():
        if problem := _name_problem(name, names) or _value_problem(value):
            add_errors(errors, field_error(f"headers.{text_for_display(name)}", "wrong_format", problem))
    total = sum(len(name) + len(value) for name, value in headers.items() if isinstance(value, str))
    if not errors and total > MAX_HEADERS_LENGTH:
        message = f"expected at most {MAX_HEADERS_LENGTH} characters in all names and values"
        return field_error("headers", "maxLength", message, target=MAX_HEADERS_LENGTH, cause=total)
    return errors


def _name_problem(name: str, lower_names: list[str]) -> str:
    lower = name.lower()
    if len(name) > MAX_HEADER_NAME_LENGTH:
        return f"expected a name of at most {MAX_HEADER_NAME_LENGTH} characters"
    if not _NAME.fullmatch(name):
        return "expected a header's name: letters, digits and !#$%&'*+-.^_`|~"
    if lower in _RESERVED or lower.startswith(_RESERVED_PREFIX):
        return "the service or HTTP sets this header"
    if lower_names.count(lower) > 1:
        return "this header is given twice: case does not matter in names"
    return ""


def _value_problem(value: object) -> str:
    if not isinstance(value, str):
        return "expected text"
    if len(value) > MAX_HEADER_VALUE_LENGTH:
        return f"expected a value of at most {MAX_HEADER_VALUE_LENGTH} characters"
    if not _VALUE.fullmatch(value):
        return "expected printable ASCII characters, without spaces at the ends"
    return ""


def separate_headers(
    document: Mapping[str, Any], current: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a validated document with masked headers, and the values to store, by name in lower case.

    `current` are the stored values, which masks in `document` stand for. Raises `InvalidDocument` for a mask
    without a stored value.
    """
    separated = {name: value for name, value in document.items() if name != "headers"}
    given: Mapping[str, str] = normalize_names(document.get("headers")) or {}
    errors: FieldErrors = {}
    for name, value in given.items():
        if value == MASK and name not in current:
            message = "expected a value: none is stored for this header"
            add_errors(errors, field_error(f"headers.{name}", "wrong_format", message))
    if errors:
        raise InvalidDocument(errors)
    values = {name: current[name] if value == MASK else value for name, value in given.items()}
    if values:
        separated["headers"] = dict.fromkeys(values, MASK)
    return separated, values
