from __future__ import annotations

import json
import math
from typing import Any

import pytest

from kazoo_bridge.json_numbers import (
    MAX_ERRORS,
    MAX_INTEGER,
    DocumentSchema,
    to_boolean,
    to_integer,
    to_number,
)

NO_NUMBERS: list[Any] = [
    True,
    False,
    None,
    [],
    {},
    "",
    " 1",
    "1 ",
    "1_0",
    "٣",
    "0x1",
    "1e2",
    math.nan,
    math.inf,
    -math.inf,
]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (0, 0),
        (2, 2),
        (2.0, 2),
        (-0.0, 0),
        (-3.0, -3),
        (1e2, 100),
        (MAX_INTEGER, MAX_INTEGER),
        (-MAX_INTEGER, -MAX_INTEGER),
    ],
)
def test_integers_and_floats_without_a_fraction_become_integers(given: Any, expected: int) -> None:
    integer = to_integer(given)
    assert (type(integer), integer) == (int, expected)


@pytest.mark.parametrize(
    "given",
    [*NO_NUMBERS, 2.5, "2.0", MAX_INTEGER + 1, -MAX_INTEGER - 1, 10**400, 1e18, 1e300, "9" * 19, "9" * 5000],
)
def test_values_that_are_no_integers(given: Any) -> None:
    assert to_integer(given, accept_text=True) is None


@pytest.mark.parametrize(
    "given",
    [0, 5, 5.0, 0.5, MAX_INTEGER, 1e300],
)
def test_integers_and_finite_floats_are_numbers_as_they_are(given: float) -> None:
    number = to_number(given)
    assert (type(number), number) == (type(given), given)


@pytest.mark.parametrize("given", [*NO_NUMBERS, 10**400, "nan", "inf", "1e5", "1.", ".5"])
def test_values_that_are_no_numbers(given: Any) -> None:
    assert to_number(given, accept_text=True) is None


def test_text_is_a_number_only_where_that_is_permitted() -> None:
    assert [to_integer("2"), to_number("2"), to_boolean("true")] == [None, None, None]
    read = [
        to_integer("-2", accept_text=True),
        to_number("2", accept_text=True),
        to_number("2.0", accept_text=True),
        to_boolean("true", accept_text=True),
    ]
    assert [(type(value), value) for value in read] == [(int, -2), (int, 2), (float, 2.0), (bool, True)]
    assert [to_boolean(value, accept_text=True) for value in (False, 1, 0, "True", "1", None)] == [
        False,
        *[None] * 5,
    ]


NESTED = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
        "rate": {"type": ["number", "null"]},
        "text": {"type": ["string", "integer"]},
        "list": {"type": "array", "items": {"type": "integer"}},
        "more": {"type": "object", "additionalProperties": {"type": "number"}},
        "inner": {"$ref": "#"},
        "kind": {"type": "string"},
    },
    "allOf": [
        {
            "if": {"properties": {"kind": {"const": "timed"}}, "required": ["kind"]},
            "then": {"properties": {"seconds": {"type": "integer"}}},
        }
    ],
}


def test_numbers_are_converted_at_every_depth_in_a_copy() -> None:
    given = {
        "count": 2.0,
        "rate": 3,
        "list": [1.0, 2],
        "more": {"a": 1},
        "inner": {"count": 0.0, "kind": "timed", "seconds": 4.0},
        "x": 2.0,
    }
    before = json.dumps(given)
    document, errors = DocumentSchema.from_schema(NESTED).validate(given)
    assert errors == []
    expected = {
        "count": 2,
        "rate": 3,
        "list": [1, 2],
        "more": {"a": 1},
        "inner": {"count": 0, "kind": "timed", "seconds": 4},
        "x": 2.0,
    }
    assert json.dumps(document) == json.dumps(expected)
    assert json.dumps(given) == before


def test_text_stays_text_where_the_schema_permits_text() -> None:
    document, errors = DocumentSchema.from_schema(NESTED, accept_text=True).validate(
        {"text": "5", "count": "5", "rate": None}
    )
    assert (document, errors) == ({"text": "5", "count": 5, "rate": None}, [])


@pytest.mark.parametrize(
    ("given", "rules"),
    [
        ({"count": True}, {"type"}),
        ({"count": 1.5}, {"type"}),
        ({"count": "1"}, {"type"}),
        ({"count": math.nan}, {"type"}),
        ({"count": math.inf}, {"type"}),
        ({"count": 10**400}, {"type"}),
        ({"count": 10.0}, {"maximum"}),
        ({"count": -1}, {"minimum"}),
        ({"rate": False}, {"type"}),
        ({"rate": math.nan}, {"type"}),
        ({"list": [1.0, True]}, {"type"}),
        ({"inner": {"inner": {"count": 10}}}, {"maximum"}),
    ],
)
def test_a_value_that_is_not_valid_is_an_error_with_its_rule(given: dict[str, Any], rules: set[str]) -> None:
    _, errors = DocumentSchema.from_schema(NESTED).validate(given)
    assert {error.validator for error in errors} == rules


def test_the_errors_of_one_document_are_bounded() -> None:
    schema = DocumentSchema.from_schema({"properties": {"list": {"items": {"type": "string"}}}})
    _, errors = schema.validate({"list": list(range(MAX_ERRORS + 1))})
    assert len(errors) == MAX_ERRORS
