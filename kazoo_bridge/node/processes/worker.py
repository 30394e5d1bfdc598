"""A worker's side of its link to the first process: it follows orders, and shows signs of life."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.stdio import StandardIO
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from kazoo_bridge.node.processes.combined_metrics import export
from kazoo_bridge.node.processes.link import MESSAGES, Message, ProcessLink

_log = Logger()

#: Seconds between two signs of life.
ALIVE_INTERVAL = 1.0


class WorkerOrders(Service):
    """Follows the orders of the first process.

    `problem` returns why the worker consumes no events, or None. `look` reads what other processes have
    written to the storage, `read_metrics` the metrics. `on_stop` is called to drain, also when the first
    process has ended, `on_force` to wait no longer, `on_reload` and `on_status` as for SIGHUP and SIGUSR1.
    """

    def __init__(
        self,
        reactor: Any,
        problem: Callable[[], str | None],
        look: Callable[[], Awaitable[None]],
        read_metrics: Callable[[], Awaitable[CollectorRegistry]],
        on_stop: Callable[[], None],
        on_force: Callable[[], None],
        on_reload: Callable[[], None],
        on_status: Callable[[], None],
        connect: Callable[[ProcessLink], object] | None = None,
    ) -> None:
        """`connect` opens the link; None: on the descriptors that the first process has passed."""
        self._problem = problem
        self._look = look
        self._read_metrics = read_metrics
        self._link = ProcessLink(self._follow, self._on_closed)
        # mypy takes the module of another platform for the module.
        standard_io: Any = StandardIO
        self._connect = connect or partial(standard_io, stdin=0, stdout=MESSAGES, reactor=reactor)
        self._orders = {"stop": on_stop, "force": on_force, "reload": on_reload, "status": on_status}
        self._alive = LoopingCall(self._show_life)
        self._alive.clock = reactor

    def startService(self) -> None:
        """Follow orders, and show signs of life."""
        super().startService()
        self._connect(self._link)
        self._alive.start(ALIVE_INTERVAL).addErrback(_log_failure)

    def stopService(self) -> None:
        """Show no more signs of life, and follow no more orders."""
        super().stopService()
        if self._alive.running:
            self._alive.stop()
        self._link.close()

    def _on_closed(self) -> None:
        _log.info("the first process of the node has ended")
        self._orders["stop"]()

    def _show_life(self) -> None:
        self._link.send({"problem": self._problem()})

    def _follow(self, order: Message) -> None:
        if (follow := self._orders.get(order["do"])) is not None:
            follow()
        else:
            Deferred.fromCoroutine(self._answer(order)).addErrback(_log_failure)

    async def _answer(self, order: Message) -> None:
        answer: dict[str, Any] = {"id": order["id"]}
        if order["do"] == "metrics":
            answer["metrics"] = export(await self._read_metrics())
        else:
            await self._look()
        self._link.send(answer)


def _log_failure(failure: Any) -> None:
    _log.failure("an order of the first process cannot be followed", failure)
