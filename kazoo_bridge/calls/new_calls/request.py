"""The commands that make a new call, their JSON schemas, and their validated data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import CommandRefused, UnknownCommand
from kazoo_bridge.json_numbers import DocumentSchema
from kazoo_bridge.schema_errors import FieldErrors, add_errors, field_error, to_kazoo_errors
from kazoo_bridge.text_sanitizing import for_display

ORIGINATE, EAVESDROP = "originate", "eavesdrop"

#: Kinds of telephones that a new call can start from.
FROM_USER, FROM_DEVICE, FROM_NUMBER = "user", "device", "number"

#: Seconds for which the telephone rings. KAZOO takes no less than 4 seconds (``cb_quickcall``).
DEFAULT_TIMEOUT, MIN_TIMEOUT, MAX_TIMEOUT = 30, 4, 120

#: The end of a text. ``$`` would accept a line break before it.
_END = r"(?![\s\S])"

#: What a person can dial. The switch puts it into its dial plan as it is, so nothing else may be in it.
_DIALLED = {"type": "string", "pattern": r"^[+*#0-9A-Za-z_.-]{1,64}" + _END}

_ID = {"type": "string", "pattern": r"^[A-Za-z0-9_-]{1,64}" + _END}

#: The switch reads the other characters as separators or quotes of its dial strings.
_CALLER_NAME = {
    "type": "string",
    "minLength": 1,
    "maxLength": 64,
    "pattern": r"^[^\x00-\x1f\x7f'\"\\^,;|{}\[\]<>$]+\Z",
}

_CALLER_NUMBER = {"type": "string", "pattern": r"^[+*#]?[0-9*#]{1,32}" + _END}

_TIMEOUT = {"type": "integer", "minimum": MIN_TIMEOUT, "maximum": MAX_TIMEOUT}

_MESSAGES = {"pattern": "expected other characters, or fewer"}


def _schema(required: tuple[str, ...], properties: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": dict(properties),
        "additionalProperties": False,
    }


#: The JSON schema of the data of each command.
NEW_CALL_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    ORIGINATE: _schema(
        ("from_type", "from_id", "to"),
        {
            "from_type": {"type": "string", "enum": [FROM_USER, FROM_DEVICE, FROM_NUMBER]},
            "from_id": _DIALLED,
            "to": _DIALLED,
            "caller_id_name": _CALLER_NAME,
            "caller_id_number": _CALLER_NUMBER,
            "timeout_s": {**_TIMEOUT, "default": DEFAULT_TIMEOUT},
            "auto_answer": {"type": "boolean", "default": False},
        },
    ),
    EAVESDROP: _schema(
        ("call_id", "from_type", "from_id"),
        {
            "call_id": {"type": "string", "minLength": 1, "maxLength": 256},
            "from_type": {"type": "string", "enum": [FROM_USER, FROM_DEVICE]},
            "from_id": _ID,
            "mode": {"type": "string", "enum": ["listen", "whisper", "full"], "default": "listen"},
            "timeout_s": {**_TIMEOUT, "default": DEFAULT_TIMEOUT},
        },
    ),
}

_SCHEMAS = {name: DocumentSchema.from_schema(schema) for name, schema in NEW_CALL_SCHEMAS.items()}


@frozen
class OriginateRequest:
    """A telephone that shall ring, and the number that it is connected to when it is answered.

    `from_type` is `FROM_USER`, `FROM_DEVICE` or `FROM_NUMBER`, and `from_id` the id, or the number.
    `timeout_s`: seconds for which it rings. `caller_id_name` and `caller_id_number`: what `to` sees; None:
    what KAZOO chooses.
    """

    from_type: str
    from_id: str
    to: str
    caller_id_name: str | None = None
    caller_id_number: str | None = None
    timeout_s: int = DEFAULT_TIMEOUT
    auto_answer: bool = False


@frozen
class EavesdropRequest:
    """A telephone that shall ring, and the call that it joins.

    `mode` is ``listen``, ``whisper`` (only the person of the account hears) or ``full``.
    """

    call_id: str
    from_type: str
    from_id: str
    mode: str = "listen"
    timeout_s: int = DEFAULT_TIMEOUT


def parse_new_call(command: str, data: Mapping[str, Any]) -> OriginateRequest | EavesdropRequest:
    """Validate the data of `ORIGINATE` or `EAVESDROP`; nulls are dropped, and whole numbers converted.

    Raises `CommandRefused`, and `UnknownCommand` for any other command.
    """
    schema = _SCHEMAS.get(command)
    if schema is None:
        raise UnknownCommand(
            field_error("action", "enum", target=sorted(NEW_CALL_SCHEMAS), cause=for_display(command))
        )
    document, found = schema.validate({name: value for name, value in data.items() if value is not None})
    errors = to_kazoo_errors(found, messages=_MESSAGES)
    if not errors:
        errors = _id_errors(document)
    if errors:
        raise CommandRefused(errors)
    return OriginateRequest(**document) if command == ORIGINATE else EavesdropRequest(**document)


def _id_errors(document: Mapping[str, Any]) -> FieldErrors:
    """Return the error of an id that is none; a number may have further characters."""
    errors: FieldErrors = {}
    if document["from_type"] != FROM_NUMBER and _IS_ID.validate({"id": document["from_id"]})[1]:
        add_errors(errors, field_error("from_id", "pattern", "expected the id of a user or a device"))
    return errors


_IS_ID = DocumentSchema.from_schema({"properties": {"id": _ID}})
