"""Live channels, and the commands to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kazoo_bridge.calls.command_schemas import COMMAND_SCHEMAS, CommandSchema
from kazoo_bridge.calls.command_validation import arguments_schema, step_schema
from kazoo_bridge.rest.openapi.envelopes import answer, bare_body, page, ref
from kazoo_bridge.rest.openapi.operations import Operation
from kazoo_bridge.rest.openapi.parameters import FILTERS, PAGES

Schema = dict[str, Any]

_OPEN = {"type": "object", "additionalProperties": True}


def _name(command: str, suffix: str) -> str:
    """What the schema of a command is called: record_call -> RecordCallCommand."""
    return "".join(word.capitalize() for word in command.split("_")) + suffix


def _arguments(action: CommandSchema) -> Schema:
    choice = {"anyOf": [{"required": [name]} for name in action.any_of]} if action.any_of else {}
    defaults = {
        name: {**action.properties[name], "default": value} for name, value in action.defaults.items()
    }
    schema = arguments_schema(action)
    return {
        **schema,
        "properties": {**schema["properties"], **defaults},
        "additionalProperties": True,
        **choice,
    }


def _beside(command: str, action: CommandSchema) -> Schema:
    """The command beside its arguments; for one that has an argument `action_command` itself they must be in ``data``."""
    arguments = _arguments(action)
    properties = {"action": {"const": command}, **arguments["properties"]}
    return {**arguments, "required": ["action", *arguments["required"]], "properties": properties}


def _around(command: str, action: CommandSchema) -> Schema:
    """The command around its arguments."""
    needed = ["data"] if action.required or action.any_of else []
    return {
        "type": "object",
        "required": ["action", *needed],
        "properties": {"action": {"const": command}, "data": ref(_name(command, "Arguments"))},
    }


def _commands() -> Iterator[tuple[str, Schema]]:
    for command, action in COMMAND_SCHEMAS.items():
        yield _name(command, "Arguments"), _arguments(action)
        yield _name(command, "Command"), _around(command, action)
        if "action" not in action.properties:
            yield _name(command, "FlatCommand"), _beside(command, action)


_COMMANDS = dict(_commands())

SCHEMAS: Mapping[str, Any] = {
    "Channel": {
        **_OPEN,
        "description": "What the switch tells of it, with its own keys in lower case; a list has some other keys than a single channel",
        "required": ["call_id"],
        "properties": {"call_id": {"type": "string"}},
    },
    **_COMMANDS,
    "Command": {
        "description": "A command around its data",
        "oneOf": [
            ref(name) for name in _COMMANDS if name.endswith("Command") and not name.endswith("FlatCommand")
        ],
    },
    "FlatCommand": {
        "description": "A command beside its data",
        "oneOf": [ref(name) for name in _COMMANDS if name.endswith("FlatCommand")],
    },
    "MetaflowStep": {
        **step_schema("#/components/schemas/MetaflowStep"),
        "description": "A step of a metaflow, and what follows it",
        "additionalProperties": True,
    },
    "Metaflow": {
        "type": "object",
        "required": ["action", "data"],
        "properties": {"action": {"const": "metaflow"}, "data": ref("MetaflowStep")},
    },
    "FlatMetaflow": {
        **_OPEN,
        "required": ["action"],
        "properties": {"action": {"const": "metaflow"}},
        "allOf": [ref("MetaflowStep")],
    },
}


def _in_data(*schemas: str) -> list[Schema]:
    return [{"type": "object", "required": ["data"], "properties": {"data": ref(name)}} for name in schemas]


_COMMAND = bare_body(
    {"anyOf": [*_in_data("Command", "FlatCommand"), ref("Command")]},
    examples={
        "hangup": {"data": {"action": "hangup"}},
        "transfer": {"data": {"action": "transfer", "target": "2001"}},
        "record": {"data": {"action": "record_call", "data": {"action": "start"}}},
    },
)
_FLOW = bare_body(
    {"anyOf": [*_in_data("Metaflow", "FlatMetaflow"), ref("Metaflow")]},
    examples={"flow": {"action": "metaflow", "data": {"module": "play", "data": {"id": "one-moment"}}}},
)

_CHANNELS = "/v2/accounts/{account_id}/channels"
_CHANNEL = f"{_CHANNELS}/{{call_id}}"

OPERATIONS = (
    Operation(
        "get",
        _CHANNELS,
        "listChannels",
        "channels",
        "The account's live channels, the oldest first",
        {200: page("Channels", ref("Channel"))},
        (*FILTERS, *PAGES),
    ),
    Operation(
        "get",
        _CHANNEL,
        "readChannel",
        "channels",
        "One channel",
        {200: answer("The channel", ref("Channel"))},
    ),
    Operation(
        "post",
        _CHANNEL,
        "commandChannel",
        "channels",
        "Sends one command to a channel",
        {
            202: answer(
                "The bus has it; what comes of it, events tell", {"type": "string", "pattern": " initiated$"}
            )
        },
        body=_COMMAND,
    ),
    Operation(
        "put",
        _CHANNEL,
        "sendMetaflow",
        "channels",
        "Sends a whole metaflow to a channel",
        {202: answer("The bus has it", {"const": "metaflow sent"})},
        body=_FLOW,
    ),
)
