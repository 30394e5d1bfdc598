"""The commands to live calls, and the JSON schemas of their data.

The source is the metaflow schemas of ``2600hz/kazoo`` (``metaflows.*.json``). Keys that a schema does not
name are passed on, because a newer switch may know more of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

_TEXT = {"type": "string", "minLength": 1, "maxLength": 256}
_ID = {"type": "string", "minLength": 1, "maxLength": 128}
_LONG_TEXT = {"type": "string", "minLength": 1, "maxLength": 4096}
_BOOLEAN = {"type": "boolean"}
_SECONDS = {"type": "integer", "minimum": 0, "maximum": 86_400}
_CAPTURES = {"type": ["string", "array"], "items": _TEXT, "maxItems": 32, "maxLength": 256}
_DIGITS = (*"1234567890", "*", "#")


def _one_of(*values: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


_TRANSFER_TYPE = _one_of("attended", "blind")
_LEG = _one_of("self", "peer", "both")


@frozen
class CommandSchema:
    """The data of one command.

    `properties` has a JSON schema for each key. The keys in `required` must be given, and one of those in
    `any_of` if it has any. `defaults` are added where a key is not given. `urls` are the keys whose value may
    be a URL that the switch requests. `action` is the action of KAZOO's metaflows that carries the command
    out; None: that of its name.
    """

    properties: Mapping[str, Any] = field(factory=dict)
    required: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(factory=dict)
    urls: tuple[str, ...] = ()
    action: str | None = None


COMMAND_SCHEMAS: Mapping[str, CommandSchema] = {
    "audio_level": CommandSchema(
        {
            "action": _one_of("start", "stop"),
            "level": {"type": "integer", "minimum": -4, "maximum": 4},
            "mode": _one_of("read", "write"),
        },
        required=("action",),
    ),
    "break": CommandSchema(),
    "callflow": CommandSchema(
        {"id": _ID, "captures": _CAPTURES, "collected": _CAPTURES}, any_of=("id", "captures", "collected")
    ),
    # KAZOO's Konami completes a transfer when the consulting leg ends, and gives it up when that leg is
    # connected to its former peer again (`konami_transfer`).
    "cancel_transfer": CommandSchema(action="resume"),
    "complete_transfer": CommandSchema(action="hangup"),
    "hangup": CommandSchema(),
    "hold": CommandSchema(
        {"moh_aleg": _TEXT, "moh_bleg": _TEXT, "unhold_key": _one_of(*_DIGITS)},
        urls=("moh_aleg", "moh_bleg"),
    ),
    "intercept": CommandSchema(
        {
            "target_type": _one_of("device", "user", "number"),
            "target_id": _ID,
            "unbridged_only": _BOOLEAN,
            "auto_answer": _BOOLEAN,
            "can_call_self": _BOOLEAN,
        },
        required=("target_type", "target_id"),
    ),
    "move": CommandSchema(
        {
            "device_id": _ID,
            "owner_id": _ID,
            "auto_answer": _BOOLEAN,
            "can_call_self": _BOOLEAN,
            "dial_strategy": _TEXT,
        }
    ),
    "park": CommandSchema({"slot": _TEXT}),
    "play": CommandSchema({"id": _TEXT, "leg": _LEG}, required=("id",), urls=("id",)),
    "record_call": CommandSchema(
        {
            "action": _one_of("mask", "unmask", "start", "stop", "toggle"),
            "format": _one_of("mp3", "wav"),
            "label": _TEXT,
            "media_name": _TEXT,
            "method": _one_of("put", "post"),
            "origin": _TEXT,
            "record_min_sec": _SECONDS,
            "record_on_answer": _BOOLEAN,
            "record_on_bridge": _BOOLEAN,
            "record_sample_rate": {"type": "integer", "minimum": 8000, "maximum": 192_000},
            "time_limit": {**_SECONDS, "minimum": 1},
            "url": {"type": "string", "maxLength": 2048, "pattern": r"^(https?|ftps?)://[^\s/]"},
        },
        urls=("url",),
    ),
    "resume": CommandSchema(),
    "say": CommandSchema(
        {
            "text": _LONG_TEXT,
            "type": _one_of(
                "account_number", "currency", "current_date", "current_date_time", "current_time",
                "email_address", "ip_address", "items", "messages", "name_phonetic", "name_spelled", "number",
                "persons", "postal_address", "short_date_time", "telephone_extension", "telephone_number",
                "time_measurement", "url",
            ),
            "method": _one_of("pronounced", "iterated", "counted"),
            "language": _TEXT,
            "gender": _one_of("feminine", "masculine", "neuter"),
        },
        required=("text",),
    ),
    "transfer": CommandSchema(
        {
            "target": _TEXT,
            "transfer-type": _TRANSFER_TYPE,
            "transfer_type": _TRANSFER_TYPE,
            "moh": _TEXT,
            "leg": _TEXT,
            "timeout": _SECONDS,
            "captures": _CAPTURES,
        },
        required=("target",),
        defaults={"transfer-type": "blind"},
        urls=("moh",),
    ),
    "tts": CommandSchema(
        {
            "text": _LONG_TEXT,
            "voice": _TEXT,
            "language": _TEXT,
            "engine": _TEXT,
            "leg": _LEG,
            "terminators": {"type": "array", "items": _one_of(*_DIGITS), "maxItems": 12},
        },
        required=("text",),
    ),
    "unpark": CommandSchema({"slot": _TEXT}),
}  # fmt: skip
