"""What can be done to a live call, and what each command needs. The names are KAZOO's (``kapi_metaflow``, its ``metaflows.*`` schemas)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from kazoo_bridge.interfaces import CommandRefused

_ID = {"type": "string", "minLength": 1, "maxLength": 256}
_TEXT = {"type": "string", "minLength": 1, "maxLength": 4096}
_WORD = {"type": "string", "minLength": 1, "maxLength": 64}
_URL = {"type": "string", "minLength": 1, "maxLength": 2048}
_FLAG = {"type": "boolean"}
_LEG = {"type": "string", "enum": ["self", "peer", "both", "bleg"]}

_SAY_TYPES = ["account_number", "currency", "current_date", "current_date_time", "current_time", "email_address", "ip_address", "items", "messages", "name_phonetic", "name_spelled", "number", "persons", "postal_address", "short_date_time", "telephone_extension", "telephone_number", "time_measurement", "url"]


@frozen
class Action:
    """A command: the keys that it knows (KAZOO's own spelling), those that it must have, and whether the channel must be bridged."""

    properties: Mapping[str, Any] = field(factory=dict)
    required: tuple[str, ...] = ()
    bridged: bool = False


ACTIONS: Mapping[str, Action] = {
    "audio_level": Action(
        {
            "action": {"enum": ["start", "stop"]},
            "level": {"type": "integer", "minimum": -4, "maximum": 4},
            "mode": {"enum": ["read", "write"]},
        },
        ("action",),
    ),
    "break": Action(),
    "callflow": Action({"id": _ID, "captures": _TEXT, "collected": _TEXT}, ("id",)),
    "hangup": Action(),
    "hold": Action({"moh_aleg": _ID, "moh_bleg": _ID, "unhold_key": {"type": "string", "pattern": "^[0-9*#]$"}}),
    "intercept": Action(
        {"target_type": {"enum": ["device", "user", "number"]}, "target_id": _ID, "unbridged_only": _FLAG, "auto_answer": _FLAG},
        ("target_type", "target_id"),
    ),
    "move": Action({"device_id": _ID, "owner_id": _ID, "auto_answer": _FLAG, "can_call_self": _FLAG}),
    "park": Action(),
    "play": Action({"id": _ID, "leg": _LEG}, ("id",)),
    "record_call": Action(
        {
            "action": {"enum": ["start", "stop", "mask", "unmask", "toggle"]},
            "format": {"enum": ["mp3", "wav"]},
            "url": _URL,
            "time_limit": {"type": "integer", "minimum": 1, "maximum": 86_400},
        },
        ("action",),
    ),
    "resume": Action(),
    "say": Action(
        {
            "text": _TEXT,
            "type": {"enum": _SAY_TYPES},
            "method": {"enum": ["pronounced", "iterated", "counted"]},
            "language": _WORD,
            "gender": {"enum": ["feminine", "masculine", "neuter"]},
        },
        ("text",),
    ),
    "transfer": Action(
        {"target": _ID, "transfer-type": {"enum": ["blind", "attended"]}, "moh": _ID, "leg": _LEG}, ("target",), bridged=True
    ),
    "tts": Action({"text": _TEXT, "voice": _WORD, "language": _WORD, "engine": _WORD}, ("text",)),
    "unpark": Action(),
}

#: Nested modules of one flow, and its size as JSON, in bytes.
DEEPEST_FLOW, LARGEST_FLOW = 20, 32_768

_FLOW = Draft202012Validator(
    {
        "$ref": "#/$defs/flow",
        "$defs": {
            "flow": {
                "type": "object",
                "required": ["module"],
                "properties": {
                    "module": _WORD,
                    "data": {"type": "object"},
                    "children": {"type": "object", "additionalProperties": {"$ref": "#/$defs/flow"}, "maxProperties": 100},
                },
            }
        },
    }
)
_VALIDATORS = {
    name: Draft202012Validator({"type": "object", "properties": action.properties, "required": list(action.required)})
    for name, action in ACTIONS.items()
}


def checked(command: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The command's own data, in KAZOO's spelling; keys that it does not know are left out. Raises `CommandRefused`."""
    action = ACTIONS.get(command)
    if action is None:
        known = sorted(ACTIONS)
        raise CommandRefused({"action": {"enum": {"message": f"expected one of {', '.join(known)}", "target": known, "cause": command[:64]}}})
    given = {name.replace("transfer_type", "transfer-type"): value for name, value in data.items() if value is not None}
    known_only = {name: value for name, value in given.items() if name in action.properties}
    errors = _errors(_VALIDATORS[command], known_only)
    if errors:
        raise CommandRefused(errors)
    return known_only


def checked_flow(flow: Mapping[str, Any]) -> dict[str, Any]:
    """A whole metaflow; raises `CommandRefused`."""
    kept = {name: flow[name] for name in ("module", "data", "children") if name in flow}
    if _depth(kept) > DEEPEST_FLOW:
        raise CommandRefused({"children": {"maxDepth": {"message": f"at most {DEEPEST_FLOW} modules deep", "target": DEEPEST_FLOW}}})
    errors = _errors(_FLOW, kept)
    if errors:
        raise CommandRefused(errors)
    if len(json.dumps(kept)) > LARGEST_FLOW:
        raise CommandRefused({"data": {"maxLength": {"message": f"a flow has at most {LARGEST_FLOW} bytes", "target": LARGEST_FLOW}}})
    return {"data": {}, **kept}


def _depth(flow: Any) -> int:
    """How deep the flow is, without recursion: it may be much too deep."""
    level, depth = [flow], 0
    while level and depth <= DEEPEST_FLOW:
        depth += 1
        children = [one.get("children") for one in level if isinstance(one, Mapping)]
        level = [child for one in children if isinstance(one, Mapping) for child in one.values()]
    return depth


def _errors(validator: Draft202012Validator, data: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    errors: dict[str, dict[str, dict[str, Any]]] = {}
    for error in validator.iter_errors(data):
        path, rule = [str(step) for step in error.absolute_path], str(error.validator)
        if rule == "required":
            path.append(next(name for name in error.validator_value if name not in error.instance))
        errors.setdefault(".".join(path) or "data", {})[rule] = _told(rule, error)
    return errors


def _told(rule: str, error: ValidationError) -> dict[str, Any]:
    target = error.validator_value
    messages = {
        "required": "Field is required but missing",
        "enum": f"expected one of {target}",
        "type": f"expected {target}",
        "minLength": "expected a text that is not empty",
        "maxLength": f"expected at most {target} characters",
        "minimum": f"expected at least {target}",
        "maximum": f"expected at most {target}",
    }
    told = {"message": messages.get(rule, "not as expected")}
    return told if rule == "required" else told | {"target": target, "cause": str(error.instance)[:100]}
