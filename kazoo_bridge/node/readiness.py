"""Whether a node is ready, and what does not work although it is."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.bus.zones import ZonedBus
from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.node.parts import AnyBus
from kazoo_bridge.storage.database import CHECK_TIMEOUT, Database
from kazoo_bridge.storage.hook_source import HookSource

#: What an embedded bus means where the configuration does not choose it.
EMBEDDED = "embedded, without a broker: no event of a switch arrives; set amqp.uri"


@define(eq=False)
class Readiness:
    """Asks the parts of a node. `directory` returns that of the node.

    `start_problem` returns why the node has not started, None once it has; `storage_problem` returns why the
    storage is not there at the start.
    """

    _bus: AnyBus
    _database: Database
    _directory: Callable[[], BaseDirectory]
    _hook_source: HookSource
    _start_problem: Callable[[], str | None]
    _storage_problem: Callable[[], str | None]

    @property
    def is_embedded(self) -> bool:
        """Whether the bus is inside the process."""
        return isinstance(self._bus, EmbeddedBus)

    def bus_problem(self) -> str | None:
        """Return why the node consumes no events; None if it does."""
        return self._start_problem() or self._bus.unavailable_reason()

    async def problems(self, timeout: float = CHECK_TIMEOUT) -> list[str]:
        """Return why this node is not ready, as ``bus: …``, ``storage: …`` and so on; empty when it is.

        The storage has `timeout` seconds to answer.
        """
        problems = {
            "bus": self.bus_problem(),
            "storage": self._storage_problem() or await self._database.check(timeout),
            "directory": self._directory().problem(),
            "hooks": self._hook_source.problem(),
        }
        return [f"{part}: {problem}" for part, problem in problems.items() if problem]

    def degradations(self) -> list[str]:
        """Return what does not work although the node is ready, as ``zone 1: …`` or ``directory: …``."""
        zones = self._bus.degraded() if isinstance(self._bus, ZonedBus) else []
        return [
            *([f"bus: {EMBEDDED}"] if self.is_embedded else []),
            *(f"bus: {reason}" for reason in self._bus.missing_bindings()),
            *zones,
            *(f"directory: {reason}" for reason in self._directory().degraded()),
        ]
