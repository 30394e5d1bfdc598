"""The private broker of a benchmark, and its processor time."""

from __future__ import annotations

import re
from contextlib import suppress

from benchmarks.harness.folders import run
from benchmarks.harness.processes import cpu_seconds, family
from tests.integration.rabbitmq import RabbitNode


class BenchmarkBroker:
    """A RabbitMQ node with its default configuration; usable as a context manager."""

    def __init__(self) -> None:
        self._node = RabbitNode()

    def __enter__(self) -> BenchmarkBroker:
        self._node.start()
        self._pids = family([self._server_pid()])
        return self

    def __exit__(self, *_: object) -> None:
        self._node.stop()

    def fresh_vhost(self) -> str:
        """Return the URI of a new virtual host."""
        return self._node.fresh_vhost()

    def cpu_seconds(self) -> float:
        """Return the processor time that the broker has taken so far."""
        return cpu_seconds(self._pids)

    def _server_pid(self) -> int:
        return int((self._node.folder / "group-rabbitmq-server").read_text())


def broker_version() -> str:
    """Return the version of RabbitMQ that is installed."""
    with suppress(RuntimeError, FileNotFoundError):
        found = re.search(r"Version: (\S+)", run(["dpkg-query", "--status", "rabbitmq-server"]))
        return found[1] if found else "unknown"
    return "unknown"
