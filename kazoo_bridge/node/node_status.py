"""The status of one node: what its readiness and its metrics say, in short."""

from __future__ import annotations

import math
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from attrs import frozen
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge import __version__
from kazoo_bridge.metrics import NAMESPACE

#: The query to the nodes.
STATUS = "status"

#: Seconds that the storage has to answer: the status must leave within the `REPLY_TIMEOUT` of the query.
ANSWER_TIMEOUT = 0.25

#: What is shown, by the name and labels of the metric.
_VALUES: dict[str, tuple[str, dict[str, str]]] = {
    "queue_messages": ("queue_messages", {}),
    "requests_under_way": ("requests_under_way", {}),
    "requests_queued": ("requests_queued", {}),
    "deliveries_pending": ("deliveries_stored", {"status": "pending"}),
    "deliveries_held": ("deliveries_stored", {"status": "held"}),
    "deliveries_dead": ("deliveries_stored", {"status": "dead"}),
    "hooks_enabled": ("webhooks_enabled", {}),
    "hooks_suspended": ("webhooks_suspended", {}),
    "sockets": ("sockets", {}),
    "subscriptions": ("subscriptions", {}),
    "attempts_success": ("attempts_total", {"result": "success"}),
    "attempts_failure": ("attempts_total", {"result": "failure"}),
}


@frozen
class StatusReader:
    """Reads the status of a node.

    `read_metrics` and `readiness_problems` receive the seconds that the storage has to answer.
    """

    _clock: IReactorTime
    _started: float
    _read_metrics: Callable[[float], Awaitable[CollectorRegistry]]
    _readiness_problems: Callable[[float], Coroutine[Any, Any, list[str]]]
    _degradations: Callable[[], Sequence[str]]

    async def read(self) -> dict[str, Any]:
        """Return the status as a JSON object; None for what is not known at present."""
        # At the same time, so that a storage that hangs delays the status once.
        checking = Deferred.fromCoroutine(self._readiness_problems(ANSWER_TIMEOUT))
        registry = await self._read_metrics(ANSWER_TIMEOUT)
        problems = await checking
        return {
            "version": __version__,
            "pid": os.getpid(),
            "uptime_s": int(self._clock.seconds() - self._started),
            "ready": not problems,
            "problems": problems,
            "degraded": list(self._degradations()),
            **{
                name: _number(registry.get_sample_value(f"{NAMESPACE}_{metric}", labels))
                for name, (metric, labels) in _VALUES.items()
            },
            "memory_bytes": _number(registry.get_sample_value("process_resident_memory_bytes")),
        }


def _number(value: float | None) -> int | None:
    return None if value is None or not math.isfinite(value) else int(value)
