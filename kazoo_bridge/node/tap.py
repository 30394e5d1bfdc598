"""The bridge as twistd runs it: a service that starts in the background and drains when it is told to stop."""

from __future__ import annotations

import os
import sys
from collections.abc import Coroutine
from typing import Any, cast

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.usage import Options as UsageOptions

from kazoo_bridge.config import ConfigError, load
from kazoo_bridge.node.graceful_shutdown import ShutdownSequence
from kazoo_bridge.node.node import Node, StartupFailed
from kazoo_bridge.node.signals import SignalHandler

_log = Logger()


class Options(UsageOptions):
    """What ``twistd kazoo_bridge`` takes."""

    optParameters = [["config", "c", None, "The configuration file (TOML); without it the defaults"]]  # noqa: RUF012 - twisted's form


class NodeService(MultiService):
    """The bridge under twistd: starts in the background, ends the process when it cannot start."""

    def __init__(self, bridge: Node, process: SignalHandler) -> None:
        super().__init__()
        self.node = bridge
        self._process = process
        self._forced: Deferred[None] = Deferred()
        self._starting: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []

    def startService(self) -> None:
        """Begin to start."""
        super().startService()
        self._starting = _in_background(self._start())

    def when_started(self) -> Deferred[None]:
        """Fires when everything runs; never when it cannot."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    async def _start(self) -> None:
        try:
            await self.node.start()
        except StartupFailed as error:
            self._process.exit_with_error(str(error))
        except Exception:
            _log.failure("kazoo_bridge cannot start")
            self._process.exit_with_error("cannot start because of an unexpected error, see the log")
        else:
            _log.info("kazoo_bridge serves REST on {endpoint}", endpoint=self.node.config.http.endpoint)
            for waiting in self._waiting:
                waiting.callback(None)

    def stopService(self) -> Deferred[None]:
        """Drain and close; fires when nothing is left."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._starting is not None:
            # A database that answers nothing would hold up the end of a start that has hardly begun, too.
            await ShutdownSequence(self.node.reactor, self._forced).run_step(
                "the start", _ended(self._starting)
            )
        await self.node.stop(self._forced)
        stopped = super().stopService()
        if isinstance(stopped, Deferred):
            await stopped
        _log.info("kazoo_bridge has stopped")

    def force_shutdown(self) -> None:
        """Wait no longer for what is in flight."""
        if not self._forced.called:
            self._forced.callback(None)


async def _ended(result: Deferred[None]) -> None:
    await result


def _in_background(work: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
    return Deferred.fromCoroutine(work).addErrback(lambda failure: _log.failure("unexpected", failure))


def makeService(options: Options) -> IService:
    """What twistd runs. A bad configuration ends the process with exit code 1 and a line for each mistake."""
    from twisted.internet import reactor  # twistd has installed it by now

    try:
        bridge = Node.from_config(reactor, load(cast("str | None", options["config"]), os.environ))
    except ConfigError as error:
        sys.stderr.write("".join(f"{mistake}\n" for mistake in error.errors))
        raise SystemExit(1) from None
    process = SignalHandler(reactor)
    service = NodeService(bridge, process)
    process.install(service.force_shutdown)
    return cast(IService, service)
