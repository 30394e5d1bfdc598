"""Validates hook documents, and makes stored ones usable."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

from attrs import define

from kazoo_bridge.interfaces import InvalidDocument as InvalidDocument
from kazoo_bridge.json_numbers import DocumentSchema, to_integer, to_number, to_schema_type
from kazoo_bridge.schema_errors import MAX_FIELDS, FieldErrors, add_errors, field_error, to_kazoo_errors
from kazoo_bridge.text_sanitizing import for_display, forbidden_texts, text_for_display
from kazoo_bridge.webhooks.egress import BadDestination, mask_credentials, parse_destination
from kazoo_bridge.webhooks.hooks.delivery_options import OPTION_SCHEMAS
from kazoo_bridge.webhooks.hooks.hook_catalogue import HookCatalogue
from kazoo_bridge.webhooks.hooks.hook_headers import (
    HEADERS_ALIAS,
    HEADERS_SCHEMA,
    adopt_alias,
    header_errors,
    normalize_names,
    without_empty_pair,
)
from kazoo_bridge.webhooks.hooks.modifiers import modifier_errors, modifiers_schema

#: Keys that the service writes itself, into documents or into what GET adds to them. Clients may send them
#: back; they are dropped.
_READ_ONLY = frozenset(
    {
        "id",
        "disable_reason",
        "health",
        "public_key",
        "secret",
        "secret_overlap_seconds",
        "signature",
        "signed",
    }
)

#: Some clients put their token into the body; it must not be readable in the document.
_IGNORED = _READ_ONLY | {"auth_token"}

_DEFAULTS: Mapping[str, Any] = {
    "http_verb": "post",
    "format": "form-data",
    "enabled": True,
    "retries": 2,
    "include_subaccounts": False,
    "include_internal_legs": True,
}

_REQUIRED = ("hook", "name", "uri")

#: In characters.
MAX_NAME_LENGTH, MAX_URI_LENGTH, MAX_CUSTOM_KEY_LENGTH, MAX_CUSTOM_VALUE_LENGTH = 256, 2048, 128, 4096

MAX_CUSTOM_KEYS = 100

#: Of their JSON.
MAX_MODIFIERS_BYTES, MAX_DOCUMENT_BYTES = 16 * 1024, 64 * 1024


def document_schema(hook_ids: Collection[str]) -> dict[str, Any]:
    """Return the JSON schema of hook documents, with the defaults.

    `hook_ids` are the accepted values of ``hook``. The schema validates documents, and clients can read it.
    It describes ``modifiers`` and ``headers`` too, which `DocumentRules` validates without it: their errors
    are clearer, and do not repeat the values of headers.
    """
    schema = _schema_without_defaults(hook_ids)
    schema["properties"]["modifiers"] = modifiers_schema(schema["properties"]["modifiers"]["description"])
    schema["properties"]["headers"] = dict(HEADERS_SCHEMA)
    description = "monster-ui's name of headers, which overrides it"
    schema["properties"][HEADERS_ALIAS] = {**HEADERS_SCHEMA, "description": description}
    for name, value in _DEFAULTS.items():
        schema["properties"][name]["default"] = value
    return schema


def _schema_without_defaults(hook_ids: Collection[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(_REQUIRED),
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH},
            "uri": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_URI_LENGTH,
                "description": "Where requests are sent: absolute, http or https",
            },
            "hook": {
                "type": "string",
                "enum": sorted(hook_ids),
                "description": "The event; all: every event of KAZOO; everything: other events, too",
            },
            "http_verb": {"type": "string", "enum": ["get", "post", "put"]},
            "format": {
                "type": "string",
                "enum": ["form-data", "json"],
                "description": "Of the body, for post and put",
            },
            "enabled": {"type": "boolean"},
            "retries": {
                "type": "integer",
                "minimum": 0,
                "maximum": 4,
                "description": "Quick retries, two seconds apart",
            },
            "include_subaccounts": {
                "type": "boolean",
                "description": "Events of every descendant account too",
            },
            "include_internal_legs": {
                "type": "boolean",
                "description": "Loopback legs too, which exist only inside the switch",
            },
            "custom_data": {
                "type": "object",
                "maxProperties": MAX_CUSTOM_KEYS,
                "propertyNames": {"minLength": 1, "maxLength": MAX_CUSTOM_KEY_LENGTH},
                "additionalProperties": {"type": "string", "maxLength": MAX_CUSTOM_VALUE_LENGTH},
                "description": "Sent with the payload, whose keys it overrides;"
                " and the hook's choice of the catalogue's modifiers",
            },
            "modifiers": {
                "type": "object",
                "description": "The hook fires only if the payload's value of each key equals this one,"
                " is in this list, or fits all of these operators",
            },
            "group": {"type": "string", "maxLength": MAX_NAME_LENGTH, "description": "For lists only"},
            "ordered": {
                "type": "boolean",
                "description": "The events of one call strictly one after another",
            },
            "rate_limit": {
                "type": "number",
                "minimum": 0.01,
                "maximum": 1000,
                "description": "Limit of requests per second on each node",
            },
            **OPTION_SCHEMAS,
        },
    }


@define
class DocumentRules:
    """Validates hook documents against a catalogue."""

    catalogue: HookCatalogue
    _schema: DocumentSchema

    @classmethod
    def from_catalogue(cls, catalogue: HookCatalogue) -> DocumentRules:
        """Make the rules that accept the hooks of `catalogue`."""
        return cls(catalogue, _make_schema(catalogue))

    def update(self) -> None:
        """Accept the types that the catalogue has now."""
        self._schema = _make_schema(self.catalogue)

    def validate(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the document to store for the `given` one.

        Private keys (``_…``, ``pvt_…``) and keys that only the service writes are dropped, numbers and
        booleans get their exact type, missing keys their default, and ``http_verb`` becomes lower-case.
        ``headers`` keeps its values, or the masks that were given: see `separate_headers`.

        Raises `InvalidDocument` with the mistakes found; if the document or a part of it is too large, with
        that alone.
        """
        document = dict(_DEFAULTS) | {
            name: value
            for name, value in adopt_alias(given).items()
            if not name.startswith(("_", "pvt_")) and name not in _IGNORED
        }
        if isinstance(document["http_verb"], str):
            document["http_verb"] = document["http_verb"].lower()
        if errors := _size_errors(document):
            # Other mistakes are not looked for: there could be any number of them.
            raise InvalidDocument(errors)
        if "custom_data" in document:
            document["custom_data"] = without_empty_pair(document["custom_data"])
        # Errors repeat what is wrong, and the values of headers are secret.
        headers = document.pop("headers", None)
        add_errors(errors, _text_errors(document))
        document, invalid = self._schema.validate(document)
        add_errors(errors, to_kazoo_errors(invalid, display=_for_display))
        add_errors(errors, _uri_errors(document, headers, errors))
        custom_data = document.get("custom_data", {})
        if "hook" not in errors and "hook" in document and isinstance(custom_data, Mapping):
            add_errors(errors, self.catalogue.validate(document["hook"], custom_data))
        if isinstance(document.get("modifiers"), Mapping):
            add_errors(errors, modifier_errors(document["modifiers"]))
        if headers is not None:
            add_errors(errors, header_errors(headers))
            document["headers"] = headers
        if errors:
            raise InvalidDocument(errors)
        return document


def _make_schema(catalogue: HookCatalogue) -> DocumentSchema:
    # HTML forms, like monster-ui's, send all values as text, and KAZOO accepts it.
    return DocumentSchema.from_schema(_schema_without_defaults(catalogue.ids), accept_text=True)


def _text_errors(document: Mapping[str, Any]) -> FieldErrors:
    errors: FieldErrors = {}
    message = "expected text without control characters and lone surrogates"
    for path, text in islice(forbidden_texts(document), MAX_FIELDS):
        cause = text_for_display(mask_credentials(text))
        add_errors(errors, field_error(".".join(path), "wrong_format", message, cause=cause))
    return errors


def _uri_errors(document: Mapping[str, Any], headers: object, earlier: FieldErrors) -> FieldErrors:
    uri = document.get("uri")
    if not isinstance(uri, str) or not uri or "uri" in earlier:
        return {}
    if problem := uri_problem(uri):
        return field_error("uri", "wrong_format", problem, cause=_for_display(uri))
    names = normalize_names(headers)
    if isinstance(names, dict) and "authorization" in names and parse_destination(uri).authorization:
        message = "expected no Authorization: it is made of the credentials in uri"
        return field_error("headers.authorization", "wrong_format", message)
    return {}


def _for_display(value: Any) -> Any:
    return for_display(mask_credentials(value) if isinstance(value, str) else value)


#: The schemas of the keys whose type is coerced. They are independent of the catalogue.
_TYPED_KEYS: Mapping[str, Mapping[str, Any]] = {
    name: schema
    for name, schema in _schema_without_defaults(())["properties"].items()
    if schema["type"] in ("integer", "number", "boolean")
}


def coerce_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return an unvalidated document, from the storage or an event, with usable numbers.

    Numbers get their exact type and are limited to the permitted range; a number that cannot be used is
    replaced by the default, or removed if there is none. Text becomes the number or boolean that it stands
    for. A boolean that cannot be used stays, for `Hook.from_document` to refuse.
    """
    usable = dict(document)
    for name, schema in _TYPED_KEYS.items():
        if name not in document:
            continue
        if schema["type"] == "boolean":
            usable[name] = to_schema_type(schema, document[name], accept_text=True)
        elif (number := _number_in_range(schema, document[name])) is not None:
            usable[name] = number
        elif name in _DEFAULTS:
            usable[name] = _DEFAULTS[name]
        else:
            del usable[name]
    return usable


#: Type, smallest and largest value of each typed key.
_USUAL: Mapping[str, tuple[type[Any], Any, Any]] = {
    name: (bool, 0, 1)
    if schema["type"] == "boolean"
    else (int if schema["type"] == "integer" else float, schema["minimum"], schema["maximum"])
    for name, schema in _TYPED_KEYS.items()
}


def is_coerced(document: Mapping[str, Any]) -> bool:
    """Return whether `coerce_document` would return an equal document: quickly, as there are many.

    False only says that it might not.
    """
    for name, (kind, minimum, maximum) in _USUAL.items():
        if name in document:
            value: Any = document[name]
            if type(value) is not kind or not minimum <= value <= maximum:
                return False
    return True


def _number_in_range(schema: Mapping[str, Any], value: object) -> int | float | None:
    minimum, maximum = schema["minimum"], schema["maximum"]
    if schema["type"] == "integer":
        integer = to_integer(value, accept_text=True)
        return None if integer is None else min(max(integer, minimum), maximum)
    number = to_number(value, accept_text=True)
    return None if number is None else min(max(number, minimum), maximum)


def _size_errors(document: Mapping[str, Any]) -> FieldErrors:
    limits = (
        ("data", document, MAX_DOCUMENT_BYTES),
        ("modifiers", document.get("modifiers", {}), MAX_MODIFIERS_BYTES),
    )
    errors: FieldErrors = {}
    for field, value, limit in limits:
        if (size := _json_bytes(value)) > limit:
            message = f"expected at most {limit} bytes of JSON"
            add_errors(errors, field_error(field, "maxLength", message, target=limit, cause=size))
    custom_data = document.get("custom_data")
    if isinstance(custom_data, Mapping) and (count := len(custom_data)) > MAX_CUSTOM_KEYS:
        message = f"expected at most {MAX_CUSTOM_KEYS} keys"
        add_errors(
            errors, field_error("custom_data", "maxProperties", message, target=MAX_CUSTOM_KEYS, cause=count)
        )
    return errors


def _json_bytes(value: Any) -> int:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=dict)
    return len(text.encode("utf-8", "surrogatepass"))


def uri_problem(uri: str) -> str | None:
    """Return why `uri` cannot be a hook's URI, as a text for its owner; None if it can.

    Only its syntax is checked, see `parse_destination`.
    """
    try:
        parse_destination(uri)
    except BadDestination as problem:
        return str(problem)
    return None
