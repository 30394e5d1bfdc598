"""Hook documents: what customers may write, and what they are told when it is wrong."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from attrs import frozen
from jsonschema.exceptions import ValidationError

from kazoo_bridge.interfaces import InvalidDocument as InvalidDocument
from kazoo_bridge.json_numbers import DocumentSchema, normalise, to_integer, to_number
from kazoo_bridge.webhooks.egress import BadDestination, masked, parse_destination
from kazoo_bridge.webhooks.hooks.hook_catalogue import FieldErrors, HookCatalogue
from kazoo_bridge.webhooks.hooks.text_sanitizing import for_display, forbidden_texts, text_for_display

#: Keys that are ours to write, in documents and in what GET adds to them; what a customer sends back under them is dropped.
_READ_ONLY = frozenset({"id", "disable_reason", "health", "secret", "secret_overlap_seconds", "signed"})

#: Some clients put their token into the document; nobody else is to read it there.
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
MAX_NAME, MAX_URI, MAX_CUSTOM_KEY, MAX_CUSTOM_VALUE = 256, 2048, 128, 4096

MAX_CUSTOM_KEYS = 100

#: In bytes of JSON.
MAX_MODIFIERS, MAX_DOCUMENT = 16 * 1024, 64 * 1024


def document_schema(hook_ids: Collection[str]) -> dict[str, Any]:
    """The JSON schema of hook documents, for the hooks that there are: what validates them, and what clients are told."""
    schema = _rules(hook_ids)
    for name, value in _DEFAULTS.items():
        schema["properties"][name]["default"] = value
    return schema


def _rules(hook_ids: Collection[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(_REQUIRED),
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": MAX_NAME},
            "uri": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_URI,
                "description": "Absolute, http or https; where requests go",
            },
            "hook": {
                "type": "string",
                "enum": sorted(hook_ids),
                "description": "What to hear of; all: everything",
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
                "description": "Quick repetitions, two seconds apart",
            },
            "include_subaccounts": {"type": "boolean", "description": "Events of every descendant too"},
            "include_internal_legs": {
                "type": "boolean",
                "description": "Loopback legs too, which exist inside the switch only",
            },
            "custom_data": {
                "type": "object",
                "maxProperties": MAX_CUSTOM_KEYS,
                "propertyNames": {"minLength": 1, "maxLength": MAX_CUSTOM_KEY},
                "additionalProperties": {"type": "string", "maxLength": MAX_CUSTOM_VALUE},
                "description": "Sent along, over the payload; and what the hook chooses of the catalogue's modifiers",
            },
            "modifiers": {
                "type": "object",
                "description": "Fires only when the payload's value of each key equals this one, or is in this list",
            },
            "group": {"type": "string", "maxLength": MAX_NAME, "description": "Only listed"},
            "ordered": {
                "type": "boolean",
                "description": "The events of one call strictly one after another",
            },
            "rate_limit": {
                "type": "number",
                "minimum": 0.01,
                "maximum": 1000,
                "description": "Requests a second, on each node, at most",
            },
        },
    }


@frozen
class DocumentRules:
    """Checks hook documents against the hooks that there are."""

    catalogue: HookCatalogue
    _schema: DocumentSchema

    @classmethod
    def from_catalogue(cls, catalogue: HookCatalogue) -> DocumentRules:
        """Rules that accept the hooks of this catalogue."""
        # HTML forms, monster-ui's among them, send nothing but text, and KAZOO takes it.
        return cls(catalogue, DocumentSchema.from_schema(document_schema(catalogue.ids), accept_text=True))

    def validate(self, given: Mapping[str, Any], *, superadmin: bool = False) -> dict[str, Any]:
        """The document that will be kept: private keys dropped, numbers and booleans in their exact type, defaults filled in.

        Raises `InvalidDocument` with every mistake found.
        """
        document = dict(_DEFAULTS) | {
            name: value
            for name, value in given.items()
            if not name.startswith(("_", "pvt_")) and name not in _IGNORED
        }
        if isinstance(document["http_verb"], str):
            document["http_verb"] = document["http_verb"].lower()
        errors = _too_large(document)
        if errors:
            raise InvalidDocument(errors)  # nothing else is looked for: there could be any number of mistakes
        for path, text in forbidden_texts(document):
            told = {
                "message": "expected text without control characters and lone surrogates",
                "cause": text_for_display(masked(text)),
            }
            errors[".".join(path)] = {"wrong_format": told}
        document, invalid = self._schema.validate(document)
        for error in invalid:
            for field, rule, details in _to_kazoo_errors(error):
                errors.setdefault(field, {})[rule] = details
        uri = document.get("uri")
        if isinstance(uri, str) and uri and "uri" not in errors and (problem := uri_problem(uri)):
            errors["uri"] = {"wrong_format": {"message": problem, "cause": text_for_display(masked(uri))}}
        custom_data = document.get("custom_data", {})
        if "hook" not in errors and "hook" in document and isinstance(custom_data, Mapping):
            for field, rules in self.catalogue.validate(
                document["hook"], custom_data, superadmin=superadmin
            ).items():
                errors.setdefault(field, {}).update(rules)
        if errors:
            raise InvalidDocument(errors)
        return document


#: The keys whose type is normalised, with their rules; no number or boolean depends on the hooks that there are.
_TYPED_KEYS: Mapping[str, Mapping[str, Any]] = {
    name: rules
    for name, rules in _rules(())["properties"].items()
    if rules["type"] in ("integer", "number", "boolean")
}


def read_numbers(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document that nothing has validated, from the storage or from an event, with usable numbers.

    Numbers get their exact type and are limited to the permitted range; the default replaces one that
    cannot be used. Text becomes the number or the boolean that it stands for. A boolean that cannot be
    used stays, for `Hook.from_document` to refuse.
    """
    usable = dict(document)
    for name, rules in _TYPED_KEYS.items():
        if name not in document:
            continue
        if rules["type"] == "boolean":
            usable[name] = normalise(rules, document[name], accept_text=True)
        elif (number := _number_in_range(rules, document[name])) is not None:
            usable[name] = number
        elif name in _DEFAULTS:
            usable[name] = _DEFAULTS[name]
        else:
            del usable[name]
    return usable


def _number_in_range(rules: Mapping[str, Any], value: object) -> int | float | None:
    low, high = rules["minimum"], rules["maximum"]
    if rules["type"] == "integer":
        integer = to_integer(value, accept_text=True)
        return None if integer is None else min(max(integer, low), high)
    number = to_number(value, accept_text=True)
    return None if number is None else float(min(max(number, low), high))


def _too_large(document: Mapping[str, Any]) -> FieldErrors:
    sizes = (("data", document, MAX_DOCUMENT), ("modifiers", document.get("modifiers", {}), MAX_MODIFIERS))
    return {
        field: {
            "maxLength": {
                "message": f"expected at most {limit} bytes of JSON",
                "target": limit,
                "cause": size,
            }
        }
        for field, value, limit in sizes
        if (size := _size(value)) > limit
    }


def _size(value: Any) -> int:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=dict)
    return len(text.encode("utf-8", "surrogatepass"))


def _to_kazoo_errors(error: ValidationError) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """KAZOO's names for a JSON schema error: field, rule, and the rule's details."""
    path = [text_for_display(str(part)) for part in error.absolute_path]
    of_keys = "keys: " if "propertyNames" in error.absolute_schema_path else ""
    rule = str(error.validator)
    if rule == "required":
        instance: Any = error.instance
        for name in _REQUIRED:
            if name not in instance:
                yield ".".join([*path, name]), rule, {"message": "this field is required"}
        return
    target = error.validator_value
    messages = {
        "enum": "expected one of the values in target",
        "type": f"expected a value of type {target}",
        "minLength": f"expected at least {target} characters",
        "maxLength": f"expected at most {target} characters",
        "maxProperties": f"expected at most {target} keys",
        "minimum": f"expected at least {target}",
        "maximum": f"expected at most {target}",
    }
    cause = for_display(masked(error.instance) if isinstance(error.instance, str) else error.instance)
    told = {"message": of_keys + messages.get(rule, "not as expected"), "target": target, "cause": cause}
    if rule == "enum":
        told["value"] = cause
    yield ".".join(path), rule, told


def uri_problem(uri: str) -> str | None:
    """What keeps `uri` from being an absolute http(s) URI that can be requested; None: nothing."""
    try:
        parse_destination(uri)
    except BadDestination as problem:
        return str(problem)
    return None
