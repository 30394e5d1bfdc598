"""Checks the data of commands and whole metaflows, and says what is wrong, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from kazoo_bridge.calls.command_schemas import COMMAND_SCHEMAS, CommandSchema
from kazoo_bridge.interfaces import CommandRefused
from kazoo_bridge.json_limits import exceeds_depth
from kazoo_bridge.json_numbers import DocumentSchema
from kazoo_bridge.schema_errors import FieldErrors, add_errors, field_error, to_kazoo_errors
from kazoo_bridge.text_sanitizing import for_display

#: Of a command's data and of a flow, in bytes of JSON.
MAX_BYTES = 32_768

#: Objects and lists within each other. A level of children in a flow counts twice: the children, and each of them.
MAX_DEPTH = 40

_MESSAGES = {"pattern": "expected an absolute URL (http, https, ftp)"}


def arguments_schema(action: CommandSchema) -> dict[str, Any]:
    """The JSON schema of a command's data, but for `CommandSchema.any_of`."""
    return {"type": "object", "properties": dict(action.properties), "required": list(action.required)}


_COMMANDS: Mapping[str, DocumentSchema] = {
    name: DocumentSchema.from_schema(arguments_schema(action)) for name, action in COMMAND_SCHEMAS.items()
}


def step_schema(itself: str = "#") -> dict[str, Any]:
    """The JSON schema of a step of a flow, which is found at `itself`.

    What a captured digit may bring later is not required, but what is there must be right.
    """
    known = [
        {
            "if": {"properties": {"module": {"const": name}}},
            "then": {"properties": {"data": {"properties": dict(action.properties)}}},
        }
        for name, action in COMMAND_SCHEMAS.items()
    ]
    return {
        "type": "object",
        "required": ["module"],
        "properties": {
            "module": {"type": "string", "minLength": 1, "maxLength": 64},
            "data": {"type": "object"},
            "children": {"type": "object", "additionalProperties": {"$ref": itself}},
        },
        "allOf": known,
    }


_FLOW = DocumentSchema.from_schema(step_schema())


def validate_command(command: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data as they will be sent: nulls dropped, numbers normalised, defaults filled in. Raises `CommandRefused`."""
    action = COMMAND_SCHEMAS.get(command)
    if action is None:
        raise CommandRefused(
            field_error("action", "enum", target=sorted(COMMAND_SCHEMAS), cause=for_display(command))
        )
    given = {name: value for name, value in data.items() if value is not None}
    _require_bounded(given, "data")
    given, errors = _validated(_COMMANDS[command], given)
    if action.any_of and not any(name in given for name in action.any_of):
        message = f"one of {', '.join(action.any_of)} is required"
        add_errors(errors, field_error(action.any_of[0], "required", message))
    if errors:
        raise CommandRefused(errors)
    return _with_defaults(action, given)


def validate_flow(flow: Mapping[str, Any]) -> dict[str, Any]:
    """The flow with its numbers normalised; raises `CommandRefused`."""
    given = dict(flow)
    _require_bounded(given, "flow")
    given, errors = _validated(_FLOW, given)
    if errors:
        raise CommandRefused(errors)
    return given


def _with_defaults(action: CommandSchema, given: dict[str, Any]) -> dict[str, Any]:
    # KAZOO spells some keys in two ways; a default must not contradict what was given in the other.
    return {
        name: value for name, value in action.defaults.items() if name.replace("-", "_") not in given
    } | given


def _require_bounded(value: dict[str, Any], name: str) -> None:
    if exceeds_depth(value, MAX_DEPTH):
        message = f"nested more than {MAX_DEPTH} deep"
        raise CommandRefused(field_error(name, "maxDepth", message, target=MAX_DEPTH))
    try:
        size = len(orjson.dumps(value))
    except orjson.JSONEncodeError:
        raise CommandRefused(
            field_error(name, "type", "expected what JSON can hold", target="object")
        ) from None
    if size > MAX_BYTES:
        message = f"expected at most {MAX_BYTES} bytes of JSON"
        raise CommandRefused(field_error(name, "maxLength", message, target=MAX_BYTES))


def _validated(schema: DocumentSchema, value: Mapping[str, Any]) -> tuple[dict[str, Any], FieldErrors]:
    document, errors = schema.validate(value)
    return document, to_kazoo_errors(errors, messages=_MESSAGES)
