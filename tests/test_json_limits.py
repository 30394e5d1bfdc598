from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.json_limits import exceeds_depth, exceeds_values


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value, "b": "text"}
    return value


@pytest.mark.parametrize("limit", [0, 1, 2, 7])
def test_levels_are_counted(limit: int) -> None:
    assert not exceeds_depth(nested(limit), limit)
    assert exceeds_depth(nested(limit + 1), limit)


def test_the_deepest_place_counts() -> None:
    assert exceeds_depth([1, {"a": []}, [[[]]]], 3)
    assert not exceeds_depth([1, {"a": []}, [[[]]]], 4)


@pytest.mark.parametrize(
    ("raw", "values"),
    [
        (b"[1,2,3]", 4),
        (b'{"a":1,"b":[true]}', 4),
        (b'[",[{,[{"]', 2),
        (rb'["\\",",,\",,",1]', 4),
        (b"[[],{}]", 5),  # empty ones count twice
        (b"[" * 500, 501),
    ],
)
def test_values_are_counted_in_the_text(raw: bytes, values: int) -> None:
    assert not exceeds_values(raw, values)
    assert exceeds_values(raw, values - 1)


def test_texts_alone_show_that_there_are_too_many_values() -> None:
    assert exceeds_values(b'["a"' + b',"a"' * 1000 + b"]", 100)
    assert not exceeds_values(b'["' + b"," * 1000 + b'"]', 100)
