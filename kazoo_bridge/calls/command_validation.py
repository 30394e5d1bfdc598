"""Validates call ids, the data of commands, and metaflows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from kazoo_bridge.calls.command_schemas import COMMAND_SCHEMAS, CommandSchema
from kazoo_bridge.interfaces import CommandRefused, UnknownCommand
from kazoo_bridge.json_limits import exceeds_depth
from kazoo_bridge.json_numbers import DocumentSchema
from kazoo_bridge.kazoo import encode_key_part
from kazoo_bridge.schema_errors import FieldErrors, add_errors, field_error, to_kazoo_errors
from kazoo_bridge.text_sanitizing import for_display

#: Size of a command's data or of a flow, in bytes of JSON.
MAX_BYTES = 32_768

#: Nested objects and lists. A level of a flow counts twice: ``children``, and the step in it.
MAX_DEPTH = 40

#: Size of a call id in a routing key, in bytes. A routing key has at most 255.
MAX_CALL_ID = 200

_MESSAGES = {"pattern": "expected an absolute URL (http, https, ftp)"}


def arguments_schema(command: CommandSchema) -> dict[str, Any]:
    """Return the JSON schema of a command's data, except for `CommandSchema.any_of`."""
    return {"type": "object", "properties": dict(command.properties), "required": list(command.required)}


_COMMANDS: Mapping[str, DocumentSchema] = {
    name: DocumentSchema.from_schema(arguments_schema(command)) for name, command in COMMAND_SCHEMAS.items()
}


def step_schema(reference: str = "#") -> dict[str, Any]:
    """Return the JSON schema of a step of a flow. `reference` is the ``$ref`` of the schema itself.

    Keys that are required in a command are not in a step, because captured digits may supply them.
    """
    known = [
        {
            "if": {"properties": {"module": {"const": name}}},
            "then": {"properties": {"data": {"properties": dict(command.properties)}}},
        }
        for name, command in COMMAND_SCHEMAS.items()
        if command.action is None
    ]
    return {
        "type": "object",
        "required": ["module"],
        "properties": {
            "module": {"type": "string", "minLength": 1, "maxLength": 64},
            "data": {"type": "object"},
            "children": {"type": "object", "additionalProperties": {"$ref": reference}},
        },
        "allOf": known,
    }


_FLOW = DocumentSchema.from_schema(step_schema())


def is_valid_call_id(call_id: str) -> bool:
    """Return True if the id fits into a routing key, and is no wildcard there."""
    return 0 < len(encode_key_part(call_id)) <= MAX_CALL_ID and call_id not in ("*", "#")


def validate_command(command: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data to send: without nulls, with integers and defaults. Raises `CommandRefused`."""
    schema = COMMAND_SCHEMAS.get(command)
    if schema is None:
        raise UnknownCommand(
            field_error("action", "enum", target=sorted(COMMAND_SCHEMAS), cause=for_display(command))
        )
    given = {name: value for name, value in data.items() if value is not None}
    _require_bounded(given, "data")
    given, errors = _validated(_COMMANDS[command], given)
    if schema.any_of and not any(name in given for name in schema.any_of):
        message = f"one of {', '.join(schema.any_of)} is required"
        add_errors(errors, field_error(schema.any_of[0], "required", message))
    if errors:
        raise CommandRefused(errors)
    return _with_defaults(schema, given)


def validate_flow(flow: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flow to send, with integers. Raises `CommandRefused`."""
    given = dict(flow)
    _require_bounded(given, "flow")
    given, errors = _validated(_FLOW, given)
    if errors:
        raise CommandRefused(errors)
    return given


def _with_defaults(schema: CommandSchema, given: dict[str, Any]) -> dict[str, Any]:
    # KAZOO has two spellings of some keys; a default must not contradict the other spelling.
    return {
        name: value for name, value in schema.defaults.items() if name.replace("-", "_") not in given
    } | given


def _require_bounded(value: dict[str, Any], name: str) -> None:
    if exceeds_depth(value, MAX_DEPTH):
        message = f"nested more than {MAX_DEPTH} deep"
        raise CommandRefused(field_error(name, "maxDepth", message, target=MAX_DEPTH))
    try:
        size = len(orjson.dumps(value))
    except orjson.JSONEncodeError:
        raise CommandRefused(field_error(name, "type", "expected a JSON value", target="object")) from None
    if size > MAX_BYTES:
        message = f"expected at most {MAX_BYTES} bytes of JSON"
        raise CommandRefused(field_error(name, "maxLength", message, target=MAX_BYTES))


def _validated(schema: DocumentSchema, value: Mapping[str, Any]) -> tuple[dict[str, Any], FieldErrors]:
    document, errors = schema.validate(value)
    return document, to_kazoo_errors(errors, messages=_MESSAGES)
