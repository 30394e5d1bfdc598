"""The benchmark of the hot path, and what it shows of the product without a look at the clock."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from benchmarks.hot_path import PREFETCH, HotPath

FORM = {"http_verb": "post", "format": "form-data"}


@pytest.fixture
def garbage() -> Iterator[list[object]]:
    """What only the garbage collector frees."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("document", [FORM, {"http_verb": "post", "format": "json"}, {"http_verb": "get"}])
def test_a_delivered_event_leaves_nothing_to_the_garbage_collector(
    document: dict[str, str], garbage: list[object]
) -> None:
    # Else each event takes memory that is in none of the processor's caches, and 2 to 10 kB of it.
    path = HotPath(PREFETCH + 300, 1, document)
    path.run_until(100)
    gc.collect()
    garbage.clear()
    path.run_until(300)
    gc.collect()
    found = {type(one).__module__ + "." + type(one).__qualname__ for one in garbage}
    assert {name for name in found if name.startswith("kazoo_bridge.")} == set()


def test_each_event_is_sent_to_its_hook_and_acknowledged() -> None:
    path = HotPath(400, 3, FORM)
    path.run_until(400)
    assert path.requests == 400
    assert path.broker.settled == 400
