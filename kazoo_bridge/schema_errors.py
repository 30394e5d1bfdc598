"""Describes what is wrong with a JSON document in KAZOO's form of validation errors.

KAZOO's REST API answers an invalid document with an object ``{field: {rule: details}}``: `field` is the path
of the value with dots, `rule` the keyword of JSON schema that it violates (or ``wrong_format``), and the
details are ``message``, ``target`` (what was expected) and ``cause`` (the given value; for ``enum`` repeated
as ``value``). See ``kz_json_schema`` and ``cb_context`` in ``2600hz/kazoo``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any

from jsonschema.exceptions import ValidationError

from kazoo_bridge.text_sanitizing import for_display, text_for_display

#: ``{field: {rule: details}}``.
FieldErrors = dict[str, dict[str, dict[str, Any]]]

_MESSAGES = {
    "required": "this field is required",
    "enum": "expected one of the values in target",
    "type": "expected a value of type {target}",
    "minLength": "expected at least {target} characters",
    "maxLength": "expected at most {target} characters",
    "minimum": "expected at least {target}",
    "maximum": "expected at most {target}",
    "maxItems": "expected at most {target} items",
    "maxProperties": "expected at most {target} keys",
}

#: Fields that the errors of one document have at most; further mistakes are not reported.
MAX_FIELDS = 20

#: Values of an ``enum`` that a text names.
_MAX_LISTED = 10

#: Characters of a field's path.
_MAX_PATH_LENGTH = 200

#: Characters of a message, which may quote what was given.
_MAX_MESSAGE_LENGTH = 1000

_ABSENT: Any = object()


def error_details(
    rule: str, message: str | None = None, *, target: Any = _ABSENT, cause: Any = _ABSENT
) -> dict[str, Any]:
    """Return the details of one violated rule: ``message``, and ``target`` and ``cause`` if they are given.

    Without `message` the usual one of the rule is used. REST repeats `cause` to the client as `for_display`
    shows it, websockets unchanged: pass it through `for_display` if it may be long or contain control
    characters.
    """
    if message is None:
        message = _MESSAGES.get(rule, "not as expected").format(target=target)
    details = {"message": message}
    if target is not _ABSENT:
        details["target"] = target
    if cause is not _ABSENT:
        details["cause"] = cause
        if rule == "enum":
            details["value"] = cause
    return details


def field_error(
    field: str, rule: str, message: str | None = None, *, target: Any = _ABSENT, cause: Any = _ABSENT
) -> FieldErrors:
    """Return the errors of a document whose only mistake is in `field`; see `error_details` for the rest."""
    return {field: {rule: error_details(rule, message, target=target, cause=cause)}}


def add_errors(errors: FieldErrors, more: Mapping[str, Mapping[str, dict[str, Any]]]) -> None:
    """Add `more` to `errors`, in place; an equal rule of an equal field is replaced."""
    for field, rules in more.items():
        errors.setdefault(field, {}).update(rules)


def to_kazoo_errors(
    errors: Iterable[ValidationError],
    *,
    messages: Mapping[str, str] = MappingProxyType({}),
    display: Callable[[Any], Any] = for_display,
) -> FieldErrors:
    """Translate the errors of a JSON schema validation.

    A missing key is an error of the key, an unsuitable key one of the object that contains it. `messages`
    adds to the usual messages by rule, or overrides them; ``{target}`` in it is replaced by the keyword's
    value. `display` returns the form in which an invalid value is repeated to the client. Only the errors of
    the first `MAX_FIELDS` fields are translated; no further ones are taken from `errors`.
    """
    result: FieldErrors = {}
    for error in errors:
        if len(result) >= MAX_FIELDS:
            break
        path = [text_for_display(str(part)) for part in error.absolute_path]
        rule = str(error.validator)
        target: Any = error.validator_value
        if rule == "required":
            instance: Any = error.instance
            for name in target:
                if name not in instance:
                    add_errors(result, field_error(".".join([*path, name]), rule))
            continue
        message = (messages.get(rule) or _MESSAGES.get(rule, "not as expected")).format(target=target)
        if "propertyNames" in error.absolute_schema_path:
            message = f"keys: {message}"
        add_errors(
            result,
            field_error(".".join(path), rule, message, target=target, cause=display(error.instance)),
        )
    return result


def errors_to_text(errors: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Return errors in one text: for each field what was expected, and what was given if that is known."""
    return "; ".join(
        f"{field}: {_detail_text(details)}"
        for field, rules in bounded(errors).items()
        for details in rules.values()
    )


def _detail_text(details: Mapping[str, Any]) -> str:
    text, target = str(details["message"]), details.get("target")
    if isinstance(target, list) and text == _MESSAGES["enum"]:
        listed = ", ".join(map(str, target[:_MAX_LISTED]))
        text = f"expected one of {listed}{', …' if len(target) > _MAX_LISTED else ''}"
    if "cause" in details:
        text += f", got {json.dumps(details['cause'], ensure_ascii=False, default=str)}"
    return text


def bounded(errors: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> FieldErrors:
    """Return errors in a form that is not much longer than what they say, whatever was sent.

    The first `MAX_FIELDS` fields are kept. Their paths, and ``message``, ``cause`` and ``value`` are
    shortened; ``target`` is not, because it is what the service demands.
    """
    return {
        _shorten(field, _MAX_PATH_LENGTH): {
            rule: {name: _shorten_detail(name, value) for name, value in details.items()}
            for rule, details in rules.items()
        }
        for field, rules in islice(errors.items(), MAX_FIELDS)
    }


def _shorten_detail(name: str, value: Any) -> Any:
    match name:
        case "cause" | "value":
            return for_display(value)
        case "message":
            return _shorten(str(value), _MAX_MESSAGE_LENGTH)
    return value


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
