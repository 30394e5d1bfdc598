"""A delayed call that can be replaced and cancelled."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Timer:
    """At most one delayed call."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._pending: IDelayedCall | None = None

    def set(self, seconds: float, action: Callable[[], object]) -> None:
        """Call `action` after `seconds`, in place of what was set before."""
        self.clear()
        self._pending = self._clock.callLater(seconds, self._fire, action)

    def clear(self) -> None:
        """Cancel the delayed call, if there is one."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.cancel()

    def _fire(self, action: Callable[[], object]) -> None:
        self._pending = None
        action()
