"""Logs what a node is doing: its readiness, tasks, queues, connections and delayed calls."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from attrs import define
from prometheus_client import CollectorRegistry
from twisted.logger import Logger

_log = Logger()

#: Kinds of delayed calls, connections and threads that are logged, the most frequent first.
MAX_KINDS = 20


@define(eq=False)
class StatusLog:
    """Logs the state of a node on `log`, in several lines that begin with ``status``."""

    _reactor: Any
    _readiness_problems: Callable[[], Awaitable[list[str]]]
    _degradations: Callable[[], Sequence[str]]
    _read_metrics: Callable[[], Awaitable[CollectorRegistry]]

    async def log(self) -> None:
        """Log the state. Contains counts and names only, no ids, addresses or content."""
        problems = await self._readiness_problems()
        for line in problems or ["ready"]:
            _log.info("status readiness={line}", line=line)
        for line in self._degradations():
            _log.info("status degraded={line}", line=line)
        for name, value in gauges(await self._read_metrics()).items():
            _log.info("status metric={name} value={value}", name=name, value=value)
        kinds = {
            "delayed_call": Counter(map(_function_name, self._reactor.getDelayedCalls())),
            "connection": Counter(_kind(reader) for reader in self._reactor.getReaders()),
            "thread": Counter(_thread_name(thread) for thread in threading.enumerate()),
        }
        for kind, counts in kinds.items():
            _log.info("status {kind}s={count}", kind=kind, count=sum(counts.values()))
            for name, count in counts.most_common(MAX_KINDS):
                _log.info("status {kind}={name} count={count}", kind=kind, name=name, count=count)


def gauges(registry: CollectorRegistry) -> dict[str, str]:
    """Return the present values of the node's own gauges, but for those that are 0."""
    return {
        _sample_name(sample): f"{sample.value:g}"
        for metric in registry.collect()
        if metric.type == "gauge" and metric.name.startswith("kazoo_bridge_")
        for sample in metric.samples
        if sample.value
    }


def _sample_name(sample: Any) -> str:
    labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
    return f"{sample.name}[{labels}]" if labels else str(sample.name)


def _function_name(call: Any) -> str:
    function = call.func
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{getattr(function, '__module__', '?')}.{name}"


def _kind(reader: Any) -> str:
    """Return the class of a descriptor, with that of the protocol behind it."""
    protocol = getattr(reader, "protocol", None) or getattr(reader, "factory", None)
    behind = f":{type(protocol).__name__}" if protocol is not None else ""
    return f"{type(reader).__name__}{behind}"


def _thread_name(thread: threading.Thread) -> str:
    return thread.name.rstrip("0123456789-")
