"""Converts the numbers of JSON documents to exact Python types.

JSON has one kind of number, and a JSON schema's ``integer`` accepts ``2.0``; Python has ``int``,
``float`` and a ``bool`` that passes for an ``int``. Each border (REST, websockets, the bus, the
storage) passes its documents through this module once; the code behind the border trusts that an
integer key holds an ``int`` and a number key an ``int`` or a finite ``float``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from itertools import islice
from typing import Any

from attrs import frozen
from jsonschema import Draft202012Validator, TypeChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

#: The largest absolute value of an integer that is accepted: 18 digits. A sum of two fits into 64 bits.
MAX_INTEGER = 10**18 - 1

#: Errors of one document that are found; a large document may have thousands, of which few are reported.
MAX_ERRORS = 100

_INTEGER_TEXT = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER_TEXT = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")


def to_integer(value: object, *, accept_text: bool = False) -> int | None:
    """Return `value` as an ``int``.

    Integers and floats without a fraction are accepted, and decimal text of at most 18 digits if
    `accept_text`. The result is None for everything else: booleans, fractions, infinities,
    not-a-number, and integers beyond `MAX_INTEGER`.
    """
    if isinstance(value, str):
        return int(value) if accept_text and _INTEGER_TEXT.fullmatch(value) else None
    if type(value) is int:
        return value if abs(value) <= MAX_INTEGER else None
    if type(value) is float and value.is_integer() and abs(value) <= MAX_INTEGER:
        return int(value)
    return None


def to_number(value: object, *, accept_text: bool = False) -> float | None:
    """Return `value` as a finite ``float``, or as an ``int`` if it is one, so that clients read back ``10``.

    Integers up to `MAX_INTEGER` and finite floats are accepted, and decimal text if `accept_text`.
    The result is None for everything else.
    """
    if isinstance(value, str):
        if not accept_text or not _NUMBER_TEXT.fullmatch(value):
            return None
        return float(value) if "." in value else int(value)
    if type(value) is float:
        return value if math.isfinite(value) else None
    return value if type(value) is int and abs(value) <= MAX_INTEGER else None


def to_boolean(value: object, *, accept_text: bool = False) -> bool | None:
    """Return `value` as a ``bool``; None if it is none.

    Booleans are accepted, and the texts ``true`` and ``false`` if `accept_text`.
    """
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value) if accept_text else None
    return value if type(value) is bool else None


_CONVERTERS: Mapping[str, Callable[..., int | float | bool | None]] = {
    "integer": to_integer,
    "number": to_number,
    "boolean": to_boolean,
}


def to_schema_type(rules: Any, value: Any, *, accept_text: bool = False) -> Any:
    """Return `value` in the exact type that a key's JSON schema `rules` names in ``type``.

    A value that does not fit is returned unchanged. Text stays text where the schema permits text.
    """
    kinds = rules.get("type", ()) if isinstance(rules, Mapping) else ()
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    if isinstance(value, str) and "string" in kinds:
        return value
    for kind in kinds:
        convert = _CONVERTERS.get(kind)
        if convert is not None and (converted := convert(value, accept_text=accept_text)) is not None:
            return converted
    return value


@frozen
class DocumentSchema:
    """A JSON schema (draft 2020-12) that converts the numbers of a document while it validates the document.

    Keys of ``properties`` and ``additionalProperties`` and the entries of ``items`` are converted at
    every depth, behind ``$ref`` and ``if``/``then`` too. A schema must not give one key different
    types in alternatives (``anyOf``).
    """

    _validator: Any

    @classmethod
    def from_schema(cls, schema: Mapping[str, Any], *, accept_text: bool = False) -> DocumentSchema:
        """Compile a schema. `accept_text`: numbers and booleans may be given as text, as HTML forms do."""
        return cls((_TextAcceptingValidator if accept_text else _Validator)(schema))

    def validate(self, document: Mapping[str, Any]) -> tuple[dict[str, Any], list[ValidationError]]:
        """Return a copy of `document`, and its errors, at most `MAX_ERRORS`; without any, it is converted."""
        copy = deepcopy(dict(document))
        return copy, list(islice(self._validator.iter_errors(copy), MAX_ERRORS))


def _is_integer(_: TypeChecker, value: object) -> bool:
    return type(value) is int and abs(value) <= MAX_INTEGER


def _is_number(_: TypeChecker, value: object) -> bool:
    return to_number(value) is not None


def _converting(keyword: str, accept_text: bool) -> Callable[..., Iterator[ValidationError]]:
    """Return jsonschema's check of a keyword, which first converts in place what it is about to check."""
    check = Draft202012Validator.VALIDATORS[keyword]

    def in_properties(rules: Any, instance: Any, _: Any) -> None:
        for name in rules.keys() & instance.keys() if isinstance(instance, dict) else ():
            instance[name] = to_schema_type(rules[name], instance[name], accept_text=accept_text)

    def in_additional_properties(rules: Any, instance: Any, schema: Any) -> None:
        for name in (
            instance.keys() - schema.get("properties", {}).keys() if isinstance(instance, dict) else ()
        ):
            instance[name] = to_schema_type(rules, instance[name], accept_text=accept_text)

    def in_items(rules: Any, instance: Any, schema: Any) -> None:
        if isinstance(instance, list):
            start = len(schema.get("prefixItems", ()))
            instance[start:] = [
                to_schema_type(rules, item, accept_text=accept_text) for item in instance[start:]
            ]

    prepare = {
        "properties": in_properties,
        "additionalProperties": in_additional_properties,
        "items": in_items,
    }[keyword]

    def checked(validator: Any, rules: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        prepare(rules, instance, schema)
        yield from check(validator, rules, instance, schema) or ()

    return checked


def _validator_class(accept_text: bool) -> Any:
    types = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_integer, "number": _is_number})
    keywords = {
        keyword: _converting(keyword, accept_text)
        for keyword in ("properties", "additionalProperties", "items")
    }
    return extend(Draft202012Validator, validators=keywords, type_checker=types)


_Validator = _validator_class(accept_text=False)
_TextAcceptingValidator = _validator_class(accept_text=True)
