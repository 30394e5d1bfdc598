"""The twistd plugin's service: it starts a node in the background, and drains it when twistd stops."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, cast

from twisted.application.service import IService, MultiService
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import ILogObserver, Logger, globalLogPublisher
from twisted.python.components import Componentized
from twisted.python.usage import Options as UsageOptions

from kazoo_bridge.config import Config, ConfigError, load
from kazoo_bridge.log_context import add_to_all_lines
from kazoo_bridge.log_escaping import escape_log_event
from kazoo_bridge.node import descriptors
from kazoo_bridge.node.assembly import build_node
from kazoo_bridge.node.category_reload import CategoryReloader
from kazoo_bridge.node.garbage_collection import exempt_loaded
from kazoo_bridge.node.graceful_shutdown import ShutdownSequence
from kazoo_bridge.node.log.node_log import LogOutput, open_log
from kazoo_bridge.node.node import Node
from kazoo_bridge.node.processes.command import WorkerCommand
from kazoo_bridge.node.processes.worker import WorkerOrders
from kazoo_bridge.node.processes.worker_process import WorkerProcess
from kazoo_bridge.node.processes.workers import Workers
from kazoo_bridge.node.readiness import EMBEDDED
from kazoo_bridge.node.reload import ConfigReloader
from kazoo_bridge.node.signals import SignalHandler
from kazoo_bridge.node.startup import StartupFailed, StoppedWhileStarting
from kazoo_bridge.node.status import StatusLog
from kazoo_bridge.node.systemd import SystemdNotifier

_log = Logger()


class Options(UsageOptions):
    """Options of ``twistd kazoo_bridge``."""

    optParameters = [  # noqa: RUF012 - Twisted's form
        ["config", "c", None, "The configuration file (TOML); without it the defaults"],
        ["worker", None, 0, "For the first process of a node alone: the number of this worker", int],
    ]


class NodeService(MultiService):
    """Runs `node` under twistd. `on_start_failed` receives the reason when the node cannot start.

    `log` becomes the log of the application that the service is added to. `notifier` reports to systemd.
    """

    def __init__(
        self,
        node: Node,
        on_start_failed: Callable[[str], None],
        log: LogOutput | None = None,
        notifier: SystemdNotifier | None = None,
    ) -> None:
        super().__init__()
        self.node = node
        self._log_output = log or LogOutput(None)
        self._notifier = notifier or SystemdNotifier.from_environment(node.reactor, {})
        self._on_start_failed = on_start_failed
        self._forced: Deferred[None] = Deferred()
        self._start_result: Deferred[None] | None = None
        self._start_waiters: list[Deferred[None]] = []
        self._has_started = False

    def setServiceParent(self, parent: Any) -> None:
        """Become part of twistd's application, and make the node's log its log."""
        if self._log_output.observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._log_output.observer)
        super().setServiceParent(parent)

    def startService(self) -> None:
        """Start the node in the background."""
        super().startService()
        self._start_result = Deferred.fromCoroutine(self._start())
        self._start_result.addErrback(lambda failure: _log.failure("start failed", failure))

    def when_started(self) -> Deferred[None]:
        """Return a Deferred that fires once the node has started, and never when it cannot start."""
        if self._has_started:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._start_waiters.append(waiter)
        return waiter

    async def _start(self) -> None:
        try:
            await self.node.start()
        except (CancelledError, StoppedWhileStarting):
            _log.info("the node was stopped before it had started")
        except StartupFailed as error:
            self._on_start_failed(str(error))
        except Exception:
            _log.failure("the node cannot start")
            self._on_start_failed("cannot start because of an unexpected error, see the log")
        else:
            if self.node.is_worker:
                _log.info("the worker {node} delivers webhooks", node=self.node.name)
            else:
                _log.info("the node serves REST on {endpoint}", endpoint=self.node.config.http.endpoint)
            self._notifier.ready(f"serves REST on {self.node.config.http.endpoint}")
            self._has_started = True
            waiters, self._start_waiters = self._start_waiters, []
            for waiter in waiters:
                waiter.callback(None)

    def stopService(self) -> Deferred[None]:
        """Drain the node and close everything; returns a Deferred that fires when that is done."""
        self._notifier.stopping()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._start_result is not None:
            self.node.give_up_start()
            # The start may still wait for a database that does not answer.
            shutdown = ShutdownSequence(self.node.reactor, self._forced)
            await shutdown.run_step("start", _wait_for(self._start_result))
        await self.node.stop(self._forced)
        stopped = super().stopService()
        if isinstance(stopped, Deferred):
            await stopped
        self._notifier.close()
        _log.info("the node has stopped")
        self._log_output.stop()

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

    limit = descriptors.raise_limit()
    number = cast(int, options["worker"])
    # An absolute path, because twistd changes the folder later (--rundir), and the file is read again.
    path = None if options["config"] is None else os.path.abspath(options["config"])

    if number:
        add_to_all_lines(process=str(number))

    def read_config() -> Config:
        return descriptors.fit(load(path, os.environ), limit)

    try:
        fitting = read_config()
        log = open_log(cast(IReactorTime, reactor), options.parent or {})
        workers = _make_workers(reactor, fitting, options, path, log, lambda: reloader.require_no_restart())
        node = build_node(reactor, fitting, exempt_loaded, workers=workers, worker=number)
    except ConfigError as error:
        sys.stderr.write("".join(f"{line}\n" for line in error.errors))
        raise SystemExit(1) from None
    log.configure(fitting.log)
    if log.observer is None:
        # Before twistd opens its own: observers are called in the order in which they were added.
        globalLogPublisher.addObserver(escape_log_event)
    if node.readiness.is_embedded:
        _log.warn("the bus is {what}", what=EMBEDDED)
    signal_handler = SignalHandler(reactor)
    notifier = SystemdNotifier.from_environment(reactor, os.environ)
    service = NodeService(node, signal_handler.exit_with_error, log, notifier)
    reloader = ConfigReloader(
        fitting,
        read_config,
        node.read_certificates,
        [lambda config: log.configure(config.log), node.configure],
        CategoryReloader(node).reload,
    )
    status = StatusLog(reactor, node.readiness_problems, node.degradations, node.metrics.read)

    def reload() -> None:
        log.reopen()
        workers.order("reload")
        reloader.reload()

    def log_status() -> None:
        workers.order("status")
        logging = Deferred.fromCoroutine(status.log())
        logging.addErrback(lambda failure: _log.failure("the status cannot be logged", failure))

    signal_handler.install(service.force_shutdown, reload, log_status)
    if number:
        orders = WorkerOrders(
            reactor,
            node.worker_problem,
            node.change_feed.look,
            node.read_worker_metrics,
            signal_handler.stop,
            service.force_shutdown,
            reload,
            log_status,
        )
        orders.setServiceParent(service)
    return cast(IService, service)


def _make_workers(
    reactor: Any,
    config: Config,
    options: Options,
    path: str | None,
    log: LogOutput,
    check_config: Callable[[], None],
) -> Workers:
    """Return what runs the workers of a node with the configuration `config`; a worker has none.

    `path` is the absolute path of the configuration. `check_config` raises `ConfigError` when a worker would
    have another configuration than this process.
    """
    if options["worker"] or config.node.processes == 1:
        return Workers(reactor)
    command = WorkerCommand.from_twistd(options.parent or {}, path, has_log_file=log.write is not None)

    def spawn(number: int, worker: WorkerProcess) -> None:
        check_config()
        command.spawn(reactor, number, worker)

    return Workers(
        reactor,
        config.node.processes,
        spawn,
        log.write or (lambda _lines: None),
        # What `WebhookService.drain` allows.
        drain_timeout=2 * config.webhooks.request_timeout_ms / 1000,
    )
