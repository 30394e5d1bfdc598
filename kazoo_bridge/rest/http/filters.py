"""KAZOO's filters on lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import orjson
from attrs import frozen

from kazoo_bridge.rest.http.query import Query, whole_number

#: Returns whether a document passes.
Test = Callable[[Mapping[str, Any]], bool]

_KEY_TESTS: Mapping[str, Callable[[Any], bool]] = {
    "has_key": lambda value: value is not None,
    "key_missing": lambda value: value is None,
    "has_value": lambda value: not _is_empty(value),
    "value_missing": lambda value: _is_empty(value),
    "missing_value": lambda value: _is_empty(value),
}
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
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
        """Read the filters of a query; raises a validation error for a time that is not a whole number."""
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


def _tests(query: Query) -> Iterator[Test]:
    for name, value in query:
        if name.startswith("filter_not_"):
            yield _not_equal(name.removeprefix("filter_not_"), value)
        elif name.startswith("filter_"):
            yield _equal(name.removeprefix("filter_"), value)
        elif name in _KEY_TESTS:
            yield _key_test(value, _KEY_TESTS[name])


def _key_test(path: str, test: Callable[[Any], bool]) -> Test:
    return lambda document: test(_value_at(document, path))


def _equal(path: str, wanted: str) -> Test:
    choices = (wanted, *_json_list_items(wanted))
    return lambda document: any(_equals_text(_value_at(document, path), choice) for choice in choices)


def _not_equal(path: str, unwanted: str) -> Test:
    equal = _equal(path, unwanted)
    return lambda document: not equal(document)


def _value_at(document: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path, None without one. A key that itself has dots is found too."""
    if path in document:
        return document[path]
    value: Any = document
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def _json_list_items(text: str) -> list[str]:
    """Return the items of a JSON list of strings, numbers and booleans as text; empty for any other text."""
    if not text.startswith("["):
        return []
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    return [choice for value in values if (choice := _to_query_text(value)) is not None]


def _equals_text(value: Any, text: str) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (
            _NUMBER.fullmatch(text) is not None
            and (float(text) if isinstance(value, float) else Decimal(text)) == value
        )
    return _to_query_text(value) == text


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
