"""One thing to do later, which can be called off."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Timer:
    """At most one delayed call. Setting it again forgets what it was set to."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._pending: IDelayedCall | None = None

    def set(self, seconds: float, ring: Callable[[], object]) -> None:
        """Call `ring` after `seconds`, and nothing else."""
        self.clear()
        self._pending = self._clock.callLater(seconds, self._fire, ring)

    def clear(self) -> None:
        """Call nothing."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.cancel()

    def _fire(self, ring: Callable[[], object]) -> None:
        self._pending = None
        ring()
