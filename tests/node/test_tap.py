from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import cast

import pytest
from attrs import define, field
from twisted.application.service import Application, IServiceMaker
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, Logger, LogLevel, capturedLogs, formatEvent, globalLogPublisher
from twisted.python.components import Componentized
from twisted.scripts._twistd_unix import ServerOptions
from zope.interface.verify import verifyObject

from kazoo_bridge.config import Config
from kazoo_bridge.log_escaping import escape_log_event
from kazoo_bridge.node.graceful_shutdown import STEP_TIMEOUT
from kazoo_bridge.node.node import Node
from kazoo_bridge.node.signals import SignalHandler
from kazoo_bridge.node.startup import StartupFailed, StoppedWhileStarting
from kazoo_bridge.node.systemd import SystemdNotifier
from kazoo_bridge.node.tap import NodeService, Options, makeService


@define(eq=False)
class FakeNode:
    """A node whose start and stop end when `starting` and `stopping` fire."""

    reactor: Clock = field(factory=Clock)
    config: Config = field(factory=Config)
    starting: Deferred[None] = field(factory=Deferred)
    stopping: Deferred[None] = field(factory=Deferred)
    forced: Deferred[None] | None = None
    given_up: bool = False
    name: str = "bridge-2"
    is_worker: bool = False

    async def start(self) -> None:
        await self.starting

    def give_up_start(self) -> None:
        self.given_up = True

    async def stop(self, forced: Deferred[None]) -> None:
        self.forced = forced
        await self.stopping


@define
class Harness:
    node: FakeNode = field(factory=FakeNode)
    errors: list[str] = field(factory=list)
    notices: list[str] = field(factory=list)
    service: NodeService = field(init=False)

    def __attrs_post_init__(self) -> None:
        notifier = SystemdNotifier(self.node.reactor, self.notices.append, watchdog_interval=30)
        self.service = NodeService(cast(Node, self.node), self.errors.append, notifier=notifier)

    def start(self) -> list[None]:
        """Start the service; the list gets an item when it has started."""
        started: list[None] = []
        self.service.when_started().addCallback(started.append)
        self.service.startService()
        return started


def test_when_started_fires_after_the_node_has_started() -> None:
    harness = Harness()
    started = harness.start()
    assert started == []
    harness.node.starting.callback(None)
    assert (started, harness.errors) == ([None], [])


@pytest.mark.parametrize(
    ("is_worker", "expected"),
    [
        (False, "the node serves REST on tcp:8000:interface=127.0.0.1"),
        (True, "the worker bridge-2 delivers webhooks"),
    ],
)
def test_the_log_says_what_has_started(is_worker: bool, expected: str) -> None:
    harness = Harness(FakeNode(is_worker=is_worker))
    harness.start()
    with capturedLogs() as logs:
        harness.node.starting.callback(None)
    assert [formatEvent(event) for event in logs] == [expected]


def test_systemd_is_notified_when_the_node_is_ready_lives_and_stops() -> None:
    harness = Harness()
    harness.start()
    assert harness.notices == []
    harness.node.starting.callback(None)
    ready = "READY=1\nSTATUS=serves REST on tcp:8000:interface=127.0.0.1"
    assert harness.notices == [ready, "WATCHDOG=1"]
    harness.service.stopService()
    harness.node.reactor.advance(30)  # draining takes its time
    assert harness.notices[2:] == ["STOPPING=1\nSTATUS=draining", "WATCHDOG=1"]
    harness.node.stopping.callback(None)
    assert harness.node.reactor.getDelayedCalls() == []


def test_systemd_is_not_notified_of_a_node_that_cannot_start() -> None:
    harness = Harness()
    harness.start()
    harness.node.starting.errback(StartupFailed("http.endpoint: cannot listen"))
    assert harness.notices == []


def test_a_node_that_cannot_start_reports_the_reason() -> None:
    harness = Harness()
    started = harness.start()
    harness.node.starting.errback(StartupFailed("http.endpoint: cannot listen"))
    assert (started, harness.errors) == ([], ["http.endpoint: cannot listen"])


def test_a_start_that_was_given_up_is_no_error() -> None:
    harness = Harness()
    started = harness.start()
    harness.node.starting.cancel()
    assert (started, harness.errors) == ([], [])


def test_an_unexpected_error_at_the_start_is_logged_and_reported() -> None:
    harness = Harness()
    harness.start()
    with capturedLogs() as logged:
        harness.node.starting.errback(ValueError("odd"))
    assert harness.errors == ["cannot start because of an unexpected error, see the log"]
    assert [event["log_level"] for event in logged] == [LogLevel.critical]


def test_stop_service_fires_when_the_node_has_stopped() -> None:
    harness = Harness()
    harness.start()
    harness.node.starting.callback(None)
    stopped = harness.service.stopService()
    assert harness.node.forced is not None
    assert not stopped.called
    harness.service.force_shutdown()
    harness.service.force_shutdown()
    assert harness.node.forced.called
    harness.node.stopping.callback(None)
    assert stopped.called
    assert not harness.service.running


def test_stop_service_waits_a_limited_time_for_an_unfinished_start() -> None:
    harness = Harness()
    harness.start()
    harness.service.stopService()
    assert (harness.node.forced, harness.node.given_up) == (None, True)
    harness.node.reactor.advance(STEP_TIMEOUT)
    assert harness.node.forced is not None
    harness.node.stopping.callback(None)
    assert harness.node.reactor.getDelayedCalls() == []


def test_a_stop_while_starting_is_no_failure() -> None:
    harness = Harness()
    started = harness.start()
    harness.node.starting.errback(StoppedWhileStarting())
    assert (started, harness.errors) == ([], [])


def make_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *twistd: str) -> NodeService:
    """Make the service like twistd, with the arguments `twistd` before the name of the plugin."""
    config = tmp_path / "c.toml"
    config.write_text(f'[storage]\nuri = "sqlite:///{tmp_path}/x.sqlite3"\n[log]\nlevel = "warn"\n')
    monkeypatch.setattr(SignalHandler, "install", lambda *_arguments, **_callbacks: None)
    options = ServerOptions()
    options.parseOptions([*twistd, "kazoo_bridge", "--config", str(config)])
    maker = options.loadedPlugins["kazoo_bridge"]
    assert verifyObject(IServiceMaker, maker)
    service = maker.makeService(options.subOptions)
    assert isinstance(service, NodeService)
    return service


def test_the_log_of_the_service_is_that_of_its_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "log"
    service = make_service(tmp_path, monkeypatch, "--logfile", str(file))
    application = Application("x")
    service.setServiceParent(application)
    observer = cast(Componentized, application).getComponent(ILogObserver)
    Logger(observer=observer).info("usual")
    Logger(observer=observer).warn("{key}", key="a\x1bb")
    assert file.read_text().endswith("#warn] a\\u001bb\n")
    assert "usual" not in file.read_text()


def test_another_logger_of_twistd_receives_escaped_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        service = make_service(tmp_path, monkeypatch, "--logger", "twisted.logger.LogPublisher")
        with capturedLogs() as logs:
            Logger().info("{key}", key="a\x1bb")
    finally:
        globalLogPublisher.removeObserver(escape_log_event)
    application = Application("x")
    service.setServiceParent(application)
    assert cast(Componentized, application).getComponent(ILogObserver, None) is None
    assert [formatEvent(event) for event in logs] == ["a\\u001bb"]


def test_paths_are_those_of_the_folder_before_twistd_changes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: list[Callable[[], None]] = []
    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_text('[log]\nlevel = "warn"\n')
    monkeypatch.setattr(SignalHandler, "install", lambda *arguments, **_: handlers.extend(arguments[1:]))
    options = ServerOptions()
    options.parseOptions(["--logfile=log", "kazoo_bridge", "--config=c.toml"])
    service = options.loadedPlugins["kazoo_bridge"].makeService(options.subOptions)
    (tmp_path / "run").mkdir()
    monkeypatch.chdir("run")  # --rundir
    Path("c.toml").write_text("[wrong]\n")
    _force, reload, _status = handlers
    with capturedLogs() as logs:
        reload()
    assert formatEvent(logs[0]) == "configuration reloaded changed=nothing"
    application = Application("x")
    service.setServiceParent(application)
    observer = cast(Componentized, application).getComponent(ILogObserver)
    Logger(observer=observer).warn("here")
    assert (tmp_path / "log").read_text().endswith("#warn] here\n")


def test_lines_of_a_worker_have_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_lines() -> None:
        config = tmp_path / "c.toml"
        config.write_text(f'[storage]\nuri = "sqlite:///{tmp_path}/x.sqlite3"\n')
        monkeypatch.setattr(SignalHandler, "install", lambda *_arguments: None)
        options = ServerOptions()
        arguments = [f"--logfile={tmp_path}/log", "kazoo_bridge", f"--config={config}", "--worker=2"]
        options.parseOptions(arguments)
        service = options.loadedPlugins["kazoo_bridge"].makeService(options.subOptions)
        application = Application("x")
        service.setServiceParent(application)
        observer = cast(Componentized, application).getComponent(ILogObserver)
        Logger(observer=observer).warn("{what}", what="here")

    copy_context().run(write_lines)
    assert (tmp_path / "log").read_text().endswith("#warn] here process=2\n")


def test_a_bad_configuration_ends_with_a_line_per_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[amqq]\nuri = "x"\n[http]\nendpoint = 5\n')
    options = Options()
    options.parseOptions(["-c", str(config)])
    with pytest.raises(SystemExit) as ended:
        makeService(options)
    assert ended.value.code == 1
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ["amqq", "http.endpoint"]
