"""Keeps Python's garbage collector away from what is loaded and stays.

The collector looks at all objects that it knows, again and again, while everything else waits: with a million
hooks for most of a second. Hooks have no cycles and are freed without it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: New objects before a collection of the youngest, and collections of each generation before one of the next.
_THRESHOLDS = 10_000, 50, 100


@contextmanager
def exempt_loaded() -> Iterator[None]:
    """Exempt all objects that are made within, and the present ones, from collections. These become rarer.

    Nothing is collected within, so cycles that become garbage there stay. For processes that run a node,
    around the loading of what is kept in memory.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
        gc.enable()
