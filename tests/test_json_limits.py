from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.json_limits import exceeds_depth


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
