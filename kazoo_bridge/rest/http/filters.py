"""KAZOO's filters on lists.

A filter is compiled once for a request; a document then costs one walk along each path and one look-up of the
value that is there. Paths, values and their number are bounded, because lists without a token take filters
too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import orjson
from attrs import frozen

from kazoo_bridge.rest.http.errors import ApiError, invalid_field
from kazoo_bridge.rest.http.query import Query, whole_number
from kazoo_bridge.text_sanitizing import text_for_display

#: Tests of one request: filters and conditions on keys.
MAX_TESTS = 20

#: Keys of one path.
MAX_PATH_KEYS = 10

#: Values of one test.
MAX_CHOICES = 100

#: Keys of paths and values of all tests of one request together.
MAX_TERMS = 300

#: Returns whether a document passes.
Test = Callable[[Mapping[str, Any]], bool]

_KEY_TESTS: Mapping[str, Callable[[Any], bool]] = {
    "has_key": lambda value: value is not None,
    "key_missing": lambda value: value is None,
    "has_value": lambda value: not _is_empty(value),
    "value_missing": lambda value: _is_empty(value),
    "missing_value": lambda value: _is_empty(value),
}
_NUMBER = re.compile(r"[+-]?[0-9]{1,50}(\.[0-9]{1,50})?([eE][+-]?[0-9]{1,3})?")
_TIMES = ("created_from", "created_to", "modified_from", "modified_to")


@frozen
class TimeRange:
    """A range of Gregorian seconds, both ends included; None: no bound."""

    start: int | None = None
    end: int | None = None

    def contains(self, time: int | None) -> bool:
        """Return whether a time is in the range. An unknown time (None) is only in a range without bounds."""
        if time is None:
            return self.start is None and self.end is None
        return (self.start is None or self.start <= time) and (self.end is None or time <= self.end)


@frozen
class Filters:
    """The filters of a request, every one of which a document must pass."""

    tests: tuple[Test, ...] = ()
    created: TimeRange = TimeRange()
    modified: TimeRange = TimeRange()

    @classmethod
    def parse(cls, query: Query) -> Filters:
        """Compile the filters of a query.

        Raises a validation error on a parameter that is a time and not a whole number, or that exceeds
        `MAX_TESTS`, `MAX_PATH_KEYS`, `MAX_CHOICES` or `MAX_TERMS`.
        """
        times = {name: [whole_number(name, text) for text in query.all(name)] for name in _TIMES}
        return cls(
            tuple(_tests(query)),
            TimeRange(max(times["created_from"], default=None), min(times["created_to"], default=None)),
            TimeRange(max(times["modified_from"], default=None), min(times["modified_to"], default=None)),
        )

    def accepts(
        self, document: Mapping[str, Any], created: int | None = None, modified: int | None = None
    ) -> bool:
        """Return whether a document passes.

        `created` and `modified` are its times in Gregorian seconds; None: unknown.
        """
        return (
            self.created.contains(created)
            and self.modified.contains(modified)
            and all(test(document) for test in self.tests)
        )


@frozen
class _Path:
    """A dotted path into a document. A key that itself has dots is found too."""

    text: str
    keys: tuple[str, ...]

    @classmethod
    def parse(cls, parameter: str, text: str) -> _Path:
        if text.count(".") >= MAX_PATH_KEYS:
            message = f"a path may have {MAX_PATH_KEYS} keys at most"
            raise _too_much(parameter, message, MAX_PATH_KEYS)
        return cls(text, tuple(text.split(".")))

    def value_in(self, document: Mapping[str, Any]) -> Any:
        """Return the value at the path, None without one."""
        if self.text in document:
            return document[self.text]
        value: Any = document
        for key in self.keys:
            if not isinstance(value, Mapping) or key not in value:
                return None
            value = value[key]
        return value


@frozen
class _Choices:
    """The values that a filter accepts, as sets, so that their number does not matter for a document."""

    texts: frozenset[str]
    integers: frozenset[Decimal]
    floats: frozenset[float]

    @classmethod
    def parse(cls, parameter: str, text: str) -> _Choices:
        texts = {text, *_json_list_items(parameter, text)}
        numbers = [choice for choice in texts if _NUMBER.fullmatch(choice)]
        return cls(frozenset(texts), frozenset(map(Decimal, numbers)), frozenset(map(float, numbers)))

    def contain(self, value: Any) -> bool:
        """Return whether a document's value is one of the choices."""
        if isinstance(value, float):
            return value in self.floats
        if isinstance(value, int) and not isinstance(value, bool):
            return value in self.integers
        return _to_query_text(value) in self.texts


def _tests(query: Query) -> list[Test]:
    tests: list[Test] = []
    terms = 0
    for name, value in query:
        if name.startswith("filter_"):
            is_wanted = not name.startswith("filter_not_")
            path = _Path.parse(name, name.removeprefix("filter_" if is_wanted else "filter_not_"))
            choices = _Choices.parse(name, value)
            tests.append(_value_test(path, choices, is_wanted))
            terms += len(choices.texts)
        elif name in _KEY_TESTS:
            path = _Path.parse(name, value)
            tests.append(_key_test(path, _KEY_TESTS[name]))
        else:
            continue
        terms += len(path.keys)
        if len(tests) > MAX_TESTS:
            raise _too_much(name, f"a request may have {MAX_TESTS} filters at most", MAX_TESTS)
        if terms > MAX_TERMS:
            message = f"the filters of a request may have {MAX_TERMS} keys and values at most, together"
            raise _too_much(name, message, MAX_TERMS)
    return tests


def _too_much(parameter: str, message: str, limit: int) -> ApiError:
    return invalid_field(text_for_display(parameter), "maxItems", message, target=limit)


def _key_test(path: _Path, test: Callable[[Any], bool]) -> Test:
    return lambda document: test(path.value_in(document))


def _value_test(path: _Path, choices: _Choices, is_wanted: bool) -> Test:
    return lambda document: choices.contain(path.value_in(document)) is is_wanted


def _json_list_items(parameter: str, text: str) -> list[str]:
    """Return the items of a JSON list of strings, numbers and booleans as text; empty for any other text."""
    if not text.startswith("["):
        return []
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    if len(values) > MAX_CHOICES:
        raise _too_much(parameter, f"a list may have {MAX_CHOICES} values at most", MAX_CHOICES)
    return [choice for value in values if (choice := _to_query_text(value)) is not None]


def _to_query_text(value: Any) -> str | None:
    """Return the text that stands for a value in a query; None for an object or a list."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _is_empty(value: Any) -> bool:
    """Return whether KAZOO counts a value as empty: zero is, false is not."""
    return (
        value is None
        or value in ("", "0", "NULL", "undefined", [], {})
        or (value == 0 and value is not False)
    )
