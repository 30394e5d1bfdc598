"""The modifiers of a hook: conditions on the values of the payload's keys, compiled once per hook.

A modifier is a plain value (the payload's value must equal it), a list (must be in it), or an object of
operators, all of which must hold. A condition returns None if it says nothing about a payload without the
key: a key that the payload lacks does not filter, and only ``$exists`` looks at that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import define, field

from kazoo_bridge.json_numbers import to_boolean, to_number
from kazoo_bridge.schema_errors import FieldErrors, add_errors, field_error
from kazoo_bridge.text_sanitizing import for_display, text_for_display

#: Operators of one hook in all, values of one ``$in``, and ``$not`` within ``$not``.
MAX_OPERATORS, MAX_CHOICES, MAX_NOT_DEPTH = 100, 500, 3

MAX_PREFIX_LENGTH = 256

#: Mistakes that are reported of one document.
_MAX_ERRORS = 20

_ABSENT: Any = object()

#: Returns whether the value of a key fits; None if the key is missing and that does not matter.
Condition = Callable[[Any], bool | None]


@define
class PayloadFilter:
    """The compiled modifiers of one hook."""

    _conditions: tuple[tuple[str, Condition], ...] = ()

    @classmethod
    def from_modifiers(cls, modifiers: Mapping[str, Any]) -> PayloadFilter:
        """Compile the modifiers of a document, validated or not.

        An object that is no valid object of operators is a plain value, like in earlier releases.
        """
        conditions: list[tuple[str, Condition]] = []
        for name, value in modifiers.items():
            parser = _Parser()
            condition = parser.modifier("", value)
            if parser.errors:
                condition = _equal_to(value)
            if condition is not None:
                conditions.append((name, condition))
        return cls(tuple(conditions)) if conditions else ACCEPT_ALL

    def accepts(self, payload: Mapping[str, Any]) -> bool:
        """Return whether every condition fits the payload, or says nothing about it."""
        return all(condition(payload.get(name, _ABSENT)) is not False for name, condition in self._conditions)


#: The filter of most hooks; one object, as there may be a million of them.
ACCEPT_ALL = PayloadFilter()


def modifier_errors(modifiers: Mapping[str, Any]) -> FieldErrors:
    """Return the mistakes in the modifiers of a document, by ``modifiers.KEY.$operator``; 20 at most."""
    parser = _Parser()
    for name, value in modifiers.items():
        parser.modifier(f"modifiers.{text_for_display(name)}", value)
        if len(parser.errors) >= _MAX_ERRORS:
            break
    return parser.errors


def modifiers_schema(description: str) -> dict[str, Any]:
    """Return the JSON schema of ``modifiers``, for clients; `modifier_errors` is what validates."""
    return {
        "type": "object",
        "description": description,
        "additionalProperties": {"anyOf": [*_PLAIN_SCHEMAS, _OPERATOR_SCHEMA]},
    }


_SCALAR_SCHEMA: Mapping[str, Any] = {"type": ["string", "number", "boolean", "null"]}
_OBJECT_SCHEMA: Mapping[str, Any] = {"type": "object", "propertyNames": {"pattern": r"^(?!\$)"}}
_PLAIN_SCHEMAS: tuple[Mapping[str, Any], ...] = (
    _SCALAR_SCHEMA,
    _OBJECT_SCHEMA,
    {"type": "array", "items": {"anyOf": [_SCALAR_SCHEMA, _OBJECT_SCHEMA, {"type": "array"}]}},
)


_OPERATOR_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "minProperties": 1,
    "properties": {
        "$in": {"type": "array", "minItems": 1, "maxItems": MAX_CHOICES},
        "$exists": {"type": "boolean"},
        "$prefix": {"type": "string", "minLength": 1, "maxLength": MAX_PREFIX_LENGTH},
        "$gte": {"type": "number"},
        "$lte": {"type": "number"},
        "$not": {
            "description": "A plain value, a list, or operators;"
            f" at most {MAX_NOT_DEPTH} times within each other"
        },
    },
    "additionalProperties": False,
}


@define
class _Parser:
    """Compiles modifiers, and collects their mistakes."""

    errors: FieldErrors = field(factory=dict)
    _operators: int = 0

    def modifier(self, path: str, value: Any, depth: int = 0) -> Condition | None:
        """Compile a plain value, a list or an object of operators; None if it accepts every value."""
        if _is_operators(value):
            return self._all_of(path, value, depth)
        if isinstance(value, list):
            for index, item in enumerate(value):
                if _is_operators(item):
                    self._refuse(f"{path}.{index}", "type", "expected a plain value: operators have no lists")
            return _among(value) if value else None
        return _equal_to(value)

    def _all_of(self, path: str, operators: Mapping[str, Any], depth: int) -> Condition:
        conditions: list[Condition] = []
        for name, operand in operators.items():
            self._operators += 1
            if self._operators > MAX_OPERATORS:
                message = f"expected at most {MAX_OPERATORS} operators in all modifiers"
                self._refuse("modifiers", "maxProperties", message, target=MAX_OPERATORS)
                break
            if len(self.errors) >= _MAX_ERRORS:
                break
            condition = self._operator(f"{path}.{text_for_display(name)}", name, operand, depth)
            if condition is not None:
                conditions.append(condition)
        return conditions[0] if len(conditions) == 1 else _all_hold(tuple(conditions))

    def _operator(self, path: str, name: str, operand: Any, depth: int) -> Condition | None:
        match name:
            case "$in":
                return self._choices(path, operand)
            case "$exists":
                return self._exists(path, operand)
            case "$prefix":
                return self._prefix(path, operand)
            case "$gte" | "$lte":
                return self._bound(path, name, operand)
            case "$not":
                return self._negation(path, operand, depth)
        self._refuse(path, "enum", "expected an operator", target=list(_OPERATORS), cause=name)
        return None

    def _choices(self, path: str, operand: Any) -> Condition | None:
        if not isinstance(operand, list):
            self._refuse(path, "type", "expected a list of values", target="array", cause=operand)
        elif not operand:
            self._refuse(path, "minItems", "expected at least one value", target=1)
        elif len(operand) > MAX_CHOICES:
            self._refuse(path, "maxItems", target=MAX_CHOICES, cause=len(operand))
        else:
            return _among(operand)
        return None

    def _exists(self, path: str, operand: Any) -> Condition | None:
        wanted = to_boolean(operand, accept_text=True)
        if wanted is None:
            self._refuse(path, "type", "expected true or false", target="boolean", cause=operand)
            return None
        return lambda value: (value is not _ABSENT and value is not None) is wanted

    def _prefix(self, path: str, operand: Any) -> Condition | None:
        if not isinstance(operand, str):
            self._refuse(path, "type", "expected text", target="string", cause=operand)
        elif not operand:
            self._refuse(path, "minLength", target=1)
        elif len(operand) > MAX_PREFIX_LENGTH:
            self._refuse(path, "maxLength", target=MAX_PREFIX_LENGTH, cause=len(operand))
        else:
            return lambda value: (
                None if value is _ABSENT else isinstance(value, str) and value.startswith(operand)
            )
        return None

    def _bound(self, path: str, name: str, operand: Any) -> Condition | None:
        bound = to_number(operand, accept_text=True)
        if bound is None:
            self._refuse(path, "type", "expected a number", target="number", cause=operand)
            return None
        limit: float = bound
        at_least = name == "$gte"

        def fits(value: Any) -> bool | None:
            if value is _ABSENT:
                return None
            number = _as_number(value)
            return number is not None and (number >= limit if at_least else number <= limit)

        return fits

    def _negation(self, path: str, operand: Any, depth: int) -> Condition | None:
        if depth >= MAX_NOT_DEPTH:
            message = f"expected $not at most {MAX_NOT_DEPTH} times within each other"
            self._refuse(path, "wrong_format", message, target=MAX_NOT_DEPTH)
            return None
        if isinstance(operand, list) and not operand:
            self._refuse(path, "minItems", "expected at least one value", target=1)
            return None
        condition = self.modifier(path, operand, depth + 1)
        return None if condition is None else _negated(condition)

    def _refuse(self, path: str, rule: str, message: str | None = None, **details: Any) -> None:
        if len(self.errors) < _MAX_ERRORS:
            if "cause" in details:
                details["cause"] = for_display(details["cause"])
            add_errors(self.errors, field_error(path, rule, message, **details))


_OPERATORS = ("$in", "$exists", "$prefix", "$gte", "$lte", "$not")


def _is_operators(value: Any) -> bool:
    return isinstance(value, Mapping) and any(str(name).startswith("$") for name in value)


def _all_hold(conditions: tuple[Condition, ...]) -> Condition:
    def holds(value: Any) -> bool | None:
        results = [condition(value) for condition in conditions]
        if False in results:
            return False
        return True if True in results else None

    return holds


def _negated(condition: Condition) -> Condition:
    def fits(value: Any) -> bool | None:
        result = condition(value)
        return None if result is None else not result

    return fits


def _equal_to(wanted: Any) -> Condition:
    return lambda value: None if value is _ABSENT else _equal(value, wanted)


def _among(values: Iterable[Any]) -> Condition:
    """Return the condition that a value equals one of `values`; scalars are looked up, not compared."""
    scalars = frozenset(_scalar_key(value) for value in values if _is_scalar(value))
    others = tuple(value for value in values if not _is_scalar(value))

    def fits(value: Any) -> bool | None:
        if value is _ABSENT:
            return None
        if _is_scalar(value):
            return _scalar_key(value) in scalars
        return any(_equal(value, other) for other in others)

    return fits


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _scalar_key(value: Any) -> tuple[bool, Any]:
    return isinstance(value, bool), value


def _equal(value: Any, other: Any) -> bool:
    # In Python True == 1; in JSON they differ.
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _as_number(value: Any) -> float | None:
    """Return the number that a payload's value is, or stands for as text; None if it is none."""
    if isinstance(value, str):
        return to_number(value, accept_text=True)
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return value
