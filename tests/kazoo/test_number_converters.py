from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.kazoo.number_converters import NumberConverters, UnusablePattern, compile_bounded

NORWAY = {
    r"^00(\d{7,})$": {"prefix": "+"},
    r"^(?:\+?47)?([2-9]\d{7})$": {"prefix": "+47"},
    r"^9(\d{3})$": {"prefix": "+4722", "suffix": "000"},
}


@pytest.mark.parametrize(
    ("number", "e164"),
    [
        ("4158867900", "+14158867900"),
        ("14158867900", "+14158867900"),
        ("01147225550", "+47225550"),
        ("004722555019", "+4722555019"),
        ("22555019", "+22555019"),
        ("+22555019", "+22555019"),
        ("2001", None),
    ],
)
def test_kazoos_own_converters(number: str, e164: str | None) -> None:
    assert NumberConverters.parse().to_e164(number) == e164


@pytest.mark.parametrize(
    ("number", "e164"),
    [
        ("22555019", "+4722555019"),
        ("4722555019", "+4722555019"),
        ("0014158867900", "+14158867900"),
        ("9123", "+4722123000"),
        ("+14158867900", "+14158867900"),
        ("158867900", "158867900"),
    ],
)
def test_the_converters_of_a_configuration(number: str, e164: str) -> None:
    converters = NumberConverters.parse(NORWAY)
    assert converters.problems == ()
    assert converters.to_e164(number) == e164


def test_the_first_converter_that_matches_converts() -> None:
    converters = NumberConverters.parse({r"^(\d+)$": {"prefix": "+1"}, r"^22(\d+)$": {"prefix": "+47"}})
    assert converters.to_e164("2255501") == "+12255501"


def test_without_a_group_the_whole_match_is_kept() -> None:
    assert NumberConverters.parse({r"[2-9]\d{7}": {"prefix": "+47"}}).to_e164("022555019") == "+4722555019"


def test_inbound_numbers_may_be_in_e164_already() -> None:
    converters = NumberConverters.parse(assume_e164=True)
    assert converters.to_e164("4158867900") == "+4158867900"
    assert converters.to_e164("+4158867900") == "+4158867900"


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(\d+)+$",
        r"^(?:\d{1,9}){1,9}$",
        r"^\d*\d*\d*\d*\d*x$",
        r"^(\d)\1$",
        r"^(?=\d)\d$",
        r"^(?P<a>\d)$",
        r"^\d{1000}$",
        r"^(\d",
        r"\d)",
        r"[\d",
        r"(" * 30 + r")" * 30,
        "1" * 201,
    ],
)
def test_expressions_that_could_take_long_are_not_used(pattern: str) -> None:
    with pytest.raises(UnusablePattern):
        compile_bounded(pattern)


@pytest.mark.timeout(60)  # an effort that grows exponentially would need hours on any machine
@pytest.mark.parametrize(
    "pattern",
    [
        r"^(" + r"1?|" * 60 + r")$",
        r"^\d*\d*\d*x$",
        r"\d*\d*x",
        r"^" + r"(?:1?)" * 7 + "x$",
    ],
)
def test_the_longest_search_that_is_used_ends(pattern: str) -> None:
    assert compile_bounded(pattern).search("1" * 33) is None


def test_an_empty_expression_matches_every_number() -> None:
    assert compile_bounded("").search("1" * 33) is not None


@pytest.mark.parametrize(
    "affixes", [None, "+47", {"prefix": "+" * 17}, {"prefix": "x"}, {"prefix": 47}, {"suffix": ["1"]}]
)
def test_broken_converters_are_left_out_and_harm_no_other(affixes: Any) -> None:
    converters = NumberConverters.parse({r"^2(\d*)$": affixes, r"^(\d+)$": {"prefix": "+47"}})
    assert converters.to_e164("22555019") == "+4722555019"
    (problem,) = converters.problems
    assert "is not used" in problem


def test_something_else_than_converters() -> None:
    assert NumberConverters.parse(["x"]).problems == ("e164_converters: expected an object of expressions",)
    many: dict[str, Any] = {f"^{n}$": {} for n in range(60)}
    assert NumberConverters.parse(many).problems == (
        "e164_converters: more than 50, the others are not used",
    )
