"""KAZOO's filters on lists: what of a list a client wants to see."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import orjson
from attrs import frozen

from kazoo_bridge.rest.http.query import Query, whole_number

#: Whether a document passes.
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
    """From and to, both included, in Gregorian seconds; None: open."""

    start: int | None = None
    end: int | None = None

    def contains(self, moment: int | None) -> bool:
        """Whether the moment lies within; one that is not known lies only in a range open on both sides."""
        if moment is None:
            return self.start is None and self.end is None
        return (self.start is None or self.start <= moment) and (self.end is None or moment <= self.end)


@frozen
class Filters:
    """All filters of a request. A document must pass every one."""

    tests: tuple[Test, ...] = ()
    created: TimeRange = TimeRange()
    modified: TimeRange = TimeRange()

    @classmethod
    def parse(cls, query: Query) -> Filters:
        """The filters that a query names; raises a validation error for a time that is not a number."""
        given = {name: [whole_number(name, text) for key, text in query if key == name] for name in _TIMES}
        return cls(
            tuple(_tests(query)),
            TimeRange(max(given["created_from"], default=None), min(given["created_to"], default=None)),
            TimeRange(max(given["modified_from"], default=None), min(given["modified_to"], default=None)),
        )

    def accepts(
        self, document: Mapping[str, Any], created: int | None = None, modified: int | None = None
    ) -> bool:
        """Whether a document passes that was created and last modified then (Gregorian seconds; None: that is not known)."""
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
    return lambda document: test(_at(document, path))


def _equal(path: str, wanted: str) -> Test:
    choices = (wanted, *_listed(wanted))
    return lambda document: any(_same(_at(document, path), choice) for choice in choices)


def _not_equal(path: str, unwanted: str) -> Test:
    equal = _equal(path, unwanted)
    return lambda document: not equal(document)


def _at(document: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; None when there is none. A key that has dots itself is found too."""
    if path in document:
        return document[path]
    value: Any = document
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def _listed(text: str) -> list[str]:
    """The choices, when the text is a JSON list of strings, numbers and booleans."""
    if not text.startswith("["):
        return []
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    return [choice for value in values if (choice := _text(value)) is not None]


def _same(value: Any, text: str) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (
            _NUMBER.fullmatch(text) is not None
            and (float(text) if isinstance(value, float) else Decimal(text)) == value
        )
    return _text(value) == text


def _text(value: Any) -> str | None:
    """A value as a query can say it; None: it cannot."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _is_empty(value: Any) -> bool:
    """KAZOO's idea of emptiness, in which zero is empty and false is not."""
    return (
        value is None
        or value in ("", "0", "NULL", "undefined", [], {})
        or (value == 0 and value is not False)
    )
