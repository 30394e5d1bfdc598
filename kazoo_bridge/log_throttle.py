"""Limits log lines about something that may happen thousands of times a second."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds between two log lines of one throttle.
LOG_INTERVAL = 60.0


@define(eq=False)
class LogThrottle:
    """Counts occurrences and reports them at most once in every interval.

    The first occurrence is reported at once, further ones together when the interval has passed.

    `on_report` writes the log line. It receives the number of occurrences since its previous call and the
    latest example, and must not raise. `interval` is in seconds. `total` counts all occurrences.
    """

    _clock: IReactorTime
    _on_report: Callable[[int, str], None]
    _interval: float = LOG_INTERVAL
    total: int = field(init=False, default=0)
    _reported: int = field(init=False, default=0)
    _latest: str = field(init=False, default="")
    _timer: IDelayedCall | None = field(init=False, default=None)

    def count(self, example: str = "") -> None:
        """Count one occurrence; `example` identifies it in the log line."""
        self.total += 1
        self._latest = example
        if self._timer is None:
            self._report()

    def stop(self) -> None:
        """Report what is not reported yet, and leave no delayed call.

        `count` may be called again afterwards.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._report()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _report(self) -> None:
        self._timer = None
        unreported = self.total - self._reported
        if unreported:
            self._reported = self.total
            self._timer = self._clock.callLater(self._interval, self._report)
            self._on_report(unreported, self._latest)
