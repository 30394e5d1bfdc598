"""Measures how late the reactor calls what is due: while it is late, everything in the process waits."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from kazoo_bridge.metrics import Durations, register_histogram

#: Seconds between two measurements.
INTERVAL = 1.0

#: Upper ends of the buckets, in seconds.
_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class ReactorLag(Service):
    """Measures the lag of a reactor every `INTERVAL` seconds while it runs.

    `monotonic` returns seconds; unlike the reactor's, they do not change with the time of day.
    """

    def __init__(self, clock: IReactorTime, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._durations = Durations(_BUCKETS)
        self._due = 0.0
        self._call: IDelayedCall | None = None

    def startService(self) -> None:
        """Begin to measure."""
        super().startService()
        self._schedule()

    def stopService(self) -> None:
        """Measure no more, and leave no delayed call."""
        super().stopService()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def register_metrics(self, registry: CollectorRegistry) -> None:
        """Export the histogram in `registry`."""
        register_histogram(
            registry,
            "reactor_lag_seconds",
            "Seconds by which calls of the reactor are late, measured every second",
            lambda: self._durations,
        )

    def _schedule(self) -> None:
        self._due = self._monotonic() + INTERVAL
        self._call = self._clock.callLater(INTERVAL, self._measure)

    def _measure(self) -> None:
        self._durations.observe(self._monotonic() - self._due)
        self._schedule()
