from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.text_sanitizing import for_display, forbidden_texts, text_for_display


@pytest.mark.parametrize("code_point", [0, 0x0A, 0x1F, 0x7F, 0x80, 0x9F, 0xD800, 0xDFFF])
def test_control_characters_and_lone_surrogates_are_found_and_escaped(code_point: int) -> None:
    character = chr(code_point)
    assert list(forbidden_texts(character)) == [((), character)]
    assert text_for_display(f"a{character}b") == f"a\\u{code_point:04x}b"


@pytest.mark.parametrize("text", ["", " ", "~", "\xa0", "\u2028", "\ud7ff", "\ue000", "🎧"])
def test_other_characters_are_not(text: str) -> None:
    assert list(forbidden_texts({text: [text]})) == []
    assert text_for_display(text) == text


def test_the_paths_of_forbidden_texts() -> None:
    document = {"a": {"b": ["ok", "x\n"]}, "c\n": {"d": "\n"}, "e": 1}
    assert list(forbidden_texts(document)) == [(("a", "b", "1"), "x\n"), (("c\\u000a",), "c\n")]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * 100, "x" * 100),
        ("x" * 101, "x" * 100 + "…"),
        ({"k" * 101: ["\n", 1, None]}, {"k" * 100 + "…": ["\\u000a", 1, None]}),
        (list(range(30)), list(range(20))),
        ({str(number): number for number in range(30)}, {str(number): number for number in range(20)}),
        (1.5, 1.5),
        ([["a", "b"]] * 20, [["a", "b"]] * 6 + [["a"]]),
        (["x" * 90] * 20, ["x" * 90] * 4),
        (
            {"a": {"x" * 500: "y" * 500, "z": {}}, "b": 1},
            {"a": {"x" * 100 + "…": "y" * 100 + "…", "z": {}}, "b": 1},
        ),
    ],
)
def test_values_are_shortened_for_display(value: Any, shown: Any) -> None:
    assert for_display(value) == shown


@pytest.mark.parametrize("levels", [100, 900])
def test_deep_values_are_cut(levels: int) -> None:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    assert len(str(for_display(value))) < 50
