"""The twistd plugin's service: it starts a node in the background, and drains it when twistd stops."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import cast

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.logger import Logger, globalLogPublisher
from twisted.python.usage import Options as UsageOptions

from kazoo_bridge.config import ConfigError, load
from kazoo_bridge.log_escaping import escape_log_event
from kazoo_bridge.node import descriptors
from kazoo_bridge.node.garbage_collection import exempt_loaded
from kazoo_bridge.node.graceful_shutdown import ShutdownSequence
from kazoo_bridge.node.node import Node, StartupFailed, StoppedWhileStarting
from kazoo_bridge.node.signals import SignalHandler
from kazoo_bridge.node.systemd import SystemdNotifier

_log = Logger()


class Options(UsageOptions):
    """Options of ``twistd kazoo_bridge``."""

    optParameters = [  # noqa: RUF012 - Twisted's form
        ["config", "c", None, "The configuration file (TOML); without it the defaults"]
    ]


class NodeService(MultiService):
    """Runs `node` under twistd. `on_start_failed` receives the reason when the node cannot start.

    `notifier` reports to systemd; None: no report.
    """

    def __init__(
        self, node: Node, on_start_failed: Callable[[str], None], notifier: SystemdNotifier | None = None
    ) -> None:
        super().__init__()
        self.node = node
        self._notifier = notifier or SystemdNotifier.from_environment(node.reactor, {})
        self._on_start_failed = on_start_failed
        self._forced: Deferred[None] = Deferred()
        self._start_result: Deferred[None] | None = None
        self._start_waiters: list[Deferred[None]] = []

    def startService(self) -> None:
        """Start the node in the background."""
        super().startService()
        self._start_result = Deferred.fromCoroutine(self._start())
        self._start_result.addErrback(lambda failure: _log.failure("start failed", failure))

    def when_started(self) -> Deferred[None]:
        """Return a Deferred that fires when the node has started, and never when it cannot start."""
        waiter: Deferred[None] = Deferred()
        self._start_waiters.append(waiter)
        return waiter

    async def _start(self) -> None:
        try:
            await self.node.start()
        except StoppedWhileStarting:
            _log.info("the node was stopped before it had started")
        except StartupFailed as error:
            self._on_start_failed(str(error))
        except Exception:
            _log.failure("the node cannot start")
            self._on_start_failed("cannot start because of an unexpected error, see the log")
        else:
            _log.info("the node serves REST on {endpoint}", endpoint=self.node.config.http.endpoint)
            self._notifier.ready(f"serves REST on {self.node.config.http.endpoint}")
            waiters, self._start_waiters = self._start_waiters, []
            for waiter in waiters:
                waiter.callback(None)

    def stopService(self) -> Deferred[None]:
        """Drain the node and close everything; returns a Deferred that fires when that is done."""
        self._notifier.stopping()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._start_result is not None:
            # The start may still wait for a database that does not answer.
            shutdown = ShutdownSequence(self.node.reactor, self._forced)
            await shutdown.run_step("start", _wait_for(self._start_result))
        await self.node.stop(self._forced)
        stopped = super().stopService()
        if isinstance(stopped, Deferred):
            await stopped
        self._notifier.close()
        _log.info("the node has stopped")

    def force_shutdown(self) -> None:
        """Wait no longer for requests in flight."""
        if not self._forced.called:
            self._forced.callback(None)


async def _wait_for(result: Deferred[None]) -> None:
    await result


def makeService(options: Options) -> IService:
    """Return the service that twistd runs.

    For a bad configuration, prints one line per mistake on stderr and ends the process with exit code 1.
    """
    from twisted.internet import reactor  # not at the top: twistd installs the reactor before this call

    try:
        config = load(cast("str | None", options["config"]), os.environ)
        fitting = descriptors.fit(config, descriptors.raise_limit())
        node = Node.from_config(reactor, fitting, loading=exempt_loaded)
    except ConfigError as error:
        sys.stderr.write("".join(f"{line}\n" for line in error.errors))
        raise SystemExit(1) from None
    # Before twistd opens the log: observers are called in the order in which they were added.
    globalLogPublisher.addObserver(escape_log_event)
    signal_handler = SignalHandler(reactor)
    notifier = SystemdNotifier.from_environment(reactor, os.environ)
    service = NodeService(node, signal_handler.exit_with_error, notifier)
    signal_handler.install(service.force_shutdown)
    return cast(IService, service)
