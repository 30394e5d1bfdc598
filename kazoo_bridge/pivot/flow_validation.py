"""Validates answers before KAZOO gets them: flows of its callflow actions, and TwiML."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any
from xml.parsers import expat

import orjson

from kazoo_bridge.json_limits import exceeds_depth
from kazoo_bridge.schema_errors import MAX_FIELDS, FieldErrors, add_errors, error_details, field_error
from kazoo_bridge.text_sanitizing import for_display

#: Size of an answer, in bytes.
MAX_FLOW_BYTES = 65_536

#: Steps of a flow, and steps below each other.
MAX_STEPS, MAX_FLOW_DEPTH = 200, 30

#: Nested objects and lists. A step counts twice: ``children``, and the step in it.
_MAX_JSON_DEPTH = 2 * MAX_FLOW_DEPTH + 20

#: Actions of KAZOO's callflows (``cf_*`` of its callflow and acdc applications) that need no `data`.
_FREE_MODULES = (
    "acdc_agent",
    "acdc_member",
    "acdc_queue",
    "acdc_wait_time",
    "after_bridge",
    "answer",
    "audio_macro",
    "branch_bnumber",
    "call_forward",
    "call_waiting",
    "camping_feature",
    "check_cid",
    "cidlistmatch",
    "collect_dtmf",
    "conference",
    "conference_feature",
    "dead_air",
    "directory",
    "disa",
    "do_not_disturb",
    "dynamic_cid",
    "eavesdrop",
    "eavesdrop_feature",
    "edr",
    "fax_detect",
    "faxbox",
    "flush_dtmf",
    "function",
    "group",
    "group_pickup",
    "hangup",
    "hotdesk",
    "intercept",
    "intercept_feature",
    "intercom",
    "move",
    "noop",
    "offnet",
    "park",
    "prepend_cid",
    "privacy",
    "receive_fax",
    "record_caller",
    "resources",
    "route_to_cid",
    "set",
    "set_cid",
    "set_variable",
    "skel",
    "sleep",
    "temporal_route",
    "transfer",
    "voicemail",
    "wait_for_hangup",
    "webhook",
)

#: All of them, and the keys of `data` without which they do nothing (its schemas ``callflows.*``, and the
#: modules where these demand less).
FLOW_MODULES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_FREE_MODULES, ()),
    **dict.fromkeys(("callflow", "device", "menu", "play", "user"), ("id",)),
    "branch_variable": ("variable",),
    "group_pickup_feature": ("type",),
    "language": ("language",),
    "lookupcidname": ("lists",),
    "manual_presence": ("presence_id",),
    "missed_call_alert": ("recipients",),
    "nomorobo": ("username",),
    "notification": ("recipients",),
    "page_group": ("audio", "endpoints"),
    "pivot": ("voice_url",),
    "record_call": ("action",),
    "response": ("code",),
    "ring_group": ("endpoints",),
    "ring_group_toggle": ("action", "callflow_id"),
    "send_dtmf": ("digits",),
    "set_alert_info": ("alert_info",),
    "set_variables": ("custom_application_vars",),
    "tts": ("text",),
}


def validate_flow(flow: Any, own_modules: Collection[str] = (), field: str = "flow") -> FieldErrors:
    """Return what is wrong with a flow, by the path of the key; nothing: KAZOO can execute it.

    `own_modules` are names of callflow actions beside KAZOO's. `field` is the name of the flow itself.
    """
    if not isinstance(flow, Mapping):
        return field_error(field, "type", target="object", cause=for_display(flow))
    if exceeds_depth(flow, _MAX_JSON_DEPTH):
        return field_error(
            field, "maxDepth", f"nested more than {MAX_FLOW_DEPTH} steps deep", target=MAX_FLOW_DEPTH
        )
    try:
        size = len(orjson.dumps(flow))
    except (orjson.JSONEncodeError, TypeError):
        return field_error(field, "type", "expected a JSON value", target="object")
    if size > MAX_FLOW_BYTES:
        message = f"expected at most {MAX_FLOW_BYTES} bytes of JSON"
        return field_error(field, "maxLength", message, target=MAX_FLOW_BYTES)
    errors: FieldErrors = {}
    for number, (path, depth, step) in enumerate(_steps(flow, field)):
        if number >= MAX_STEPS:
            add_errors(
                errors,
                field_error(field, "maxItems", f"expected at most {MAX_STEPS} steps", target=MAX_STEPS),
            )
            break
        if depth > MAX_FLOW_DEPTH:
            message = f"nested more than {MAX_FLOW_DEPTH} steps deep"
            add_errors(errors, field_error(field, "maxDepth", message, target=MAX_FLOW_DEPTH))
            break
        add_errors(errors, _check_step(path, step, own_modules))
        if len(errors) >= MAX_FIELDS:
            break
    return errors


def _steps(flow: Any, field: str) -> Iterator[tuple[str, int, Any]]:
    """Yield each step with its path and its depth, the first one first; not recursive."""
    waiting = [(field, 1, flow)]
    while waiting:
        path, depth, step = waiting.pop()
        yield path, depth, step
        children = step.get("children") if isinstance(step, Mapping) else None
        if isinstance(children, Mapping):
            waiting += [
                (f"{path}.children.{name[:32]}", depth + 1, child)
                for name, child in reversed(list(children.items()))
            ]


def _check_step(path: str, step: Any, own_modules: Collection[str]) -> FieldErrors:
    if not isinstance(step, Mapping):
        return field_error(path, "type", target="object", cause=for_display(step))
    errors: FieldErrors = {}
    for key in ("data", "children"):
        if key in step and not isinstance(step[key], Mapping):
            errors[f"{path}.{key}"] = {"type": error_details("type", target="object")}
    module = step.get("module")
    if module is None:
        errors[f"{path}.module"] = {"required": error_details("required")}
    elif not isinstance(module, str):
        errors[f"{path}.module"] = {"type": error_details("type", target="string")}
    elif module not in FLOW_MODULES and module not in own_modules:
        message = "KAZOO has no callflow action of this name; pivot.own_modules may name further ones"
        errors[f"{path}.module"] = {"enum": error_details("enum", message, cause=for_display(module))}
    else:
        data = step.get("data")
        given = data if isinstance(data, Mapping) else {}
        for name in FLOW_MODULES.get(module, ()):
            if given.get(name) in (None, ""):
                errors[f"{path}.data.{name}"] = {"required": error_details("required")}
    return errors


def validate_twiml(twiml: Any) -> FieldErrors:
    """Return what is wrong with TwiML: well-formed XML whose root is ``Response``, without a DTD."""
    if not isinstance(twiml, str):
        return field_error("twiml", "type", target="string")
    raw = twiml.encode("utf-8", "replace")
    if len(raw) > MAX_FLOW_BYTES:
        message = f"expected at most {MAX_FLOW_BYTES} bytes"
        return field_error("twiml", "maxLength", message, target=MAX_FLOW_BYTES)
    elements: list[str] = []
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = lambda name, _attributes: elements.append(name) if not elements else None
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(raw, True)
    except _DoctypeRefused:
        return field_error("twiml", "wrong_format", "expected XML without a document type")
    except expat.ExpatError as error:
        return field_error("twiml", "wrong_format", f"expected well-formed XML: {error}")
    if elements[0] != "Response":
        return field_error("twiml", "wrong_format", "expected an element Response as the root")
    return {}


class _DoctypeRefused(Exception):
    """The XML declares a document type, whose entities could grow without bound."""


def _refuse_doctype(*_arguments: Any) -> None:
    raise _DoctypeRefused
