"""Live channels, and commands to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kazoo_bridge.calls.command_schemas import COMMAND_SCHEMAS, CommandSchema
from kazoo_bridge.calls.command_validation import arguments_schema, step_schema
from kazoo_bridge.rest.openapi.envelopes import make_bare_body, make_page_or_table, make_response, ref
from kazoo_bridge.rest.openapi.operations import Operation
from kazoo_bridge.rest.openapi.parameters import FILTERS, PAGES

Schema = dict[str, Any]

_OPEN = {"type": "object", "additionalProperties": True}


def _name(command: str, suffix: str) -> str:
    """Return the name of a command's schema: record_call -> RecordCallCommand."""
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


def _flat_command(command: str, action: CommandSchema) -> Schema:
    """Return the schema of the command with its arguments beside ``action``."""
    arguments = _arguments(action)
    properties = {"action": {"const": command}, **arguments["properties"]}
    return {**arguments, "required": ["action", *arguments["required"]], "properties": properties}


def _command(command: str, action: CommandSchema) -> Schema:
    """Return the schema of the command with its arguments in ``data``."""
    needed = ["data"] if action.required or action.any_of else []
    return {
        "type": "object",
        "required": ["action", *needed],
        "properties": {"action": {"const": command}, "data": ref(_name(command, "Arguments"))},
    }


def _commands() -> Iterator[tuple[str, Schema]]:
    for command, action in COMMAND_SCHEMAS.items():
        yield _name(command, "Arguments"), _arguments(action)
        yield _name(command, "Command"), _command(command, action)
        if "action" not in action.properties:
            yield _name(command, "FlatCommand"), _flat_command(command, action)


_COMMANDS = dict(_commands())

SCHEMAS: Mapping[str, Any] = {
    "Channel": {
        **_OPEN,
        "description": "The switch's keys in lower case; a list has other keys than a single channel",
        "required": ["call_id"],
        "properties": {"call_id": {"type": "string"}},
    },
    **_COMMANDS,
    "Command": {
        "description": "A command with its arguments in data",
        "oneOf": [
            ref(name) for name in _COMMANDS if name.endswith("Command") and not name.endswith("FlatCommand")
        ],
    },
    "FlatCommand": {
        "description": "A command with its arguments beside action",
        "oneOf": [ref(name) for name in _COMMANDS if name.endswith("FlatCommand")],
    },
    "MetaflowStep": {
        **step_schema("#/components/schemas/MetaflowStep"),
        "description": "A step of a metaflow, with the steps that follow it",
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


_COMMAND = make_bare_body(
    {"anyOf": [*_in_data("Command", "FlatCommand"), ref("Command")]},
    examples={
        "hangup": {"data": {"action": "hangup"}},
        "transfer": {"data": {"action": "transfer", "target": "2001"}},
        "record": {"data": {"action": "record_call", "data": {"action": "start"}}},
    },
)
_FLOW = make_bare_body(
    {"anyOf": [*_in_data("Metaflow", "FlatMetaflow"), ref("Metaflow")]},
    examples={"flow": {"action": "metaflow", "data": {"module": "play", "data": {"id": "one-moment"}}}},
)

_CHANNELS = "/v2/accounts/{account_id}/channels"
_CHANNEL = f"{_CHANNELS}/{{call_id}}"

_LISTS = (
    (_CHANNELS, "listChannels", "The account's live channels, oldest first; without page_size all of them"),
    ("/v2/accounts/{account_id}/users/{user_id}/channels", "listUserChannels", "Those of a user's devices"),
    ("/v2/accounts/{account_id}/devices/{device_id}/channels", "listDeviceChannels", "Those of a device"),
    (
        "/v2/accounts/{account_id}/groups/{group_id}/channels",
        "listGroupChannels",
        "Those of a group's devices; 404 if the directory knows no groups",
    ),
    ("/v2/channels", "listAllChannels", "Those of all accounts, for super-admins"),
)

OPERATIONS = (
    *(
        Operation(
            "get",
            path,
            name,
            "channels",
            summary,
            {200: make_page_or_table("Channels", ref("Channel"))},
            (*FILTERS, *PAGES),
            refusals=(403,),
        )
        for path, name, summary in _LISTS
    ),
    Operation(
        "get",
        _CHANNEL,
        "readChannel",
        "channels",
        "One channel",
        {200: make_response("The channel", ref("Channel"))},
    ),
    Operation(
        "post",
        _CHANNEL,
        "commandChannel",
        "channels",
        "Sends one command to a channel",
        {
            202: make_response(
                "The broker has confirmed the command; events show its result",
                {"type": "string", "pattern": " initiated$"},
            )
        },
        body=_COMMAND,
    ),
    Operation(
        "put",
        _CHANNEL,
        "sendMetaflow",
        "channels",
        "Sends a metaflow to a channel",
        {202: make_response("The broker has confirmed the metaflow", {"const": "metaflow sent"})},
        body=_FLOW,
    ),
)
