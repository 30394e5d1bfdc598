from __future__ import annotations

from typing import Any

import pytest
from attrs import fields, frozen

from kazoo_bridge.config.keys import EXPECTED, MAY_BE_TABLE, checked, choice, integer, ratio, text


def refuse_x(value: str) -> None:
    if value == "x":
        raise ValueError("expected anything but x")


@frozen
class Section:
    at_least: int = integer(3, 1)
    between: int = integer(3, 1, 5)
    share: float = ratio(0.5)
    kind: str = choice("a", "a", "b")
    name: str = text("n", "[a-z]", "one small letter")
    secret: str = checked("s", refuse_x, secret=True, may_be_table=True)


@pytest.mark.parametrize(
    ("name", "good", "bad", "expected"),
    [
        ("at_least", 10**9, 0, "a whole number of at least 1"),
        ("between", 5, 6, "a whole number from 1 to 5"),
        ("share", 1, 1.1, "a number from 0 to 1"),
        ("kind", "b", "c", "'a' or 'b'"),
        ("name", "z", "zz", "one small letter"),
        ("secret", "y", "x", None),
    ],
)
def test_a_section_has_valid_values_only(name: str, good: Any, bad: Any, expected: str | None) -> None:
    assert getattr(Section(**{name: good}), name) == good
    with pytest.raises(ValueError, match=r"."):
        Section(**{name: bad})
    assert getattr(fields(Section), name).metadata.get(EXPECTED) == expected


def test_a_secret_is_not_shown() -> None:
    assert "hunter2" not in repr(Section(secret="hunter2"))


def test_a_list_may_be_a_table() -> None:
    assert fields(Section).secret.metadata[MAY_BE_TABLE]
