"""Growing delays between attempts."""

from __future__ import annotations

from collections.abc import Callable
from random import random


class Backoff:
    """Seconds to wait before the next attempt: from `first`, doubled each time up to `longest`, shortened by up to a quarter at random."""

    def __init__(
        self, first: float = 1.0, longest: float = 30.0, jitter: Callable[[], float] = random
    ) -> None:
        self._first = first
        self._longest = longest
        self._jitter = jitter
        self._next = first

    def delay(self) -> float:
        """The next delay; the one after it will be longer."""
        current = self._next
        self._next = min(current * 2, self._longest)
        return current * (1 - self._jitter() / 4)

    def reset(self) -> None:
        """Things went well: begin with the first delay again."""
        self._next = self._first
