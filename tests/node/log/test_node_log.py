from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from attrs import define, field
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, LogLevel
from twisted.python import syslog

from kazoo_bridge.config import Log
from kazoo_bridge.log_context import log_fields
from kazoo_bridge.node.log.node_log import NodeLog, open_log
from kazoo_bridge.node.log.repeats import MAX_REPEATS
from kazoo_bridge.rest.server.access_log import ACCESS_NAMESPACE
from tests.bus.harness import CapturedLog


@define
class Harness:
    settings: Log = field(factory=Log)
    lines: list[str] = field(factory=list)
    log: NodeLog = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.log = NodeLog(Clock(), self.lines.append)
        self.log.configure(self.settings)

    def logger(self, namespace: str = "kazoo_bridge.x") -> Logger:
        return Logger(namespace, observer=self.log)

    def texts(self) -> list[str]:
        return [line.partition("] ")[2].rstrip() for line in self.lines]


def test_lines_below_the_level_are_not_written() -> None:
    harness = Harness(Log(level="warn"))
    harness.logger().info("usual")
    harness.logger().warn("odd")
    assert harness.texts() == ["odd"]


def test_a_namespace_has_its_own_level_and_those_below_it_the_same() -> None:
    harness = Harness(Log(levels=("kazoo_bridge.bus=debug", "kazoo_bridge.rest=error")))
    harness.logger("kazoo_bridge.bus.amqp").debug("a frame")
    harness.logger("kazoo_bridge.rest").warn("refused")
    harness.logger("kazoo_bridge.x").debug("detail")
    assert harness.texts() == ["a frame"]


def test_what_twisted_says_about_each_connection_is_written_at_the_level_debug_only() -> None:
    harness = Harness()
    loud = Harness(Log(levels=("kazoo_bridge.x=debug",)))
    for one in (harness, loud):
        one.logger().info("Starting factory {factory!r}", factory="x")
    assert harness.texts() == []
    assert loud.texts() == ["Starting factory 'x'"]


def test_the_access_log_can_be_off() -> None:
    harness = Harness(Log(access_log=False))
    harness.logger(ACCESS_NAMESPACE).info("GET /v2/accounts")
    harness.logger("kazoo_bridge.rest").info("started")
    assert harness.texts() == ["started"]


def test_new_settings_apply_to_the_next_line() -> None:
    harness = Harness(Log(level="error"))
    harness.logger().info("one")
    harness.log.configure(Log(level="debug", format="json"))
    harness.logger().debug("two")
    assert [json.loads(line)["message"] for line in harness.lines] == ["two"]


def test_lines_of_a_request_have_its_id_and_are_summarised_without_it() -> None:
    harness = Harness()
    for number in range(MAX_REPEATS + 3):
        with log_fields(request_id=f"r{number}"):
            harness.logger().warn("the storage is away")
    assert harness.texts() == [f"the storage is away request_id=r{number}" for number in range(MAX_REPEATS)]
    harness.log.stop()
    last = f"the storage is away request_id=r{MAX_REPEATS + 2}"
    assert harness.texts()[MAX_REPEATS:] == [f"{last} (the latest of 3 more like it)"]


def test_control_characters_are_escaped_and_the_event_is_that_of_other_observers_still() -> None:
    events: list[LogEvent] = []
    Logger("kazoo_bridge.x", observer=cast(Any, events.append)).info("path={path}", path="a\x1bb")
    before = dict(events[0])
    for form in ("text", "json", "journal"):
        harness = Harness(Log(format=form))
        harness.log(events[0])
        (line,) = harness.lines
        assert "a\\u001bb" in line
    assert events[0] == before


def test_the_log_goes_to_standard_output_of_a_process_that_is_no_daemon(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = open_log(Clock(), {"nodaemon": True, "logfile": None})
    Logger("kazoo_bridge.x", observer=output.observer).info("said")
    assert capsys.readouterr().out.endswith("[kazoo_bridge.x#info] said\n")


def test_the_log_goes_to_the_file_that_twistd_is_given_and_is_opened_again(tmp_path: Path) -> None:
    file = tmp_path / "bridge.log"
    output = open_log(Clock(), {"nodaemon": True, "logfile": str(file)})
    log = Logger("kazoo_bridge.x", observer=output.observer)
    log.info("one é")
    file.rename(tmp_path / "bridge.log.1")
    output.reopen()
    log.info("two")
    assert (tmp_path / "bridge.log.1").read_text().endswith("one é\n")
    assert file.read_text().endswith("two\n")


def test_a_log_file_that_cannot_be_opened_anew_stays_open(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    file = folder / "bridge.log"
    output = open_log(Clock(), {"nodaemon": True, "logfile": str(file)})
    assert output.observer is not None
    output.observer.configure(Log())
    moved = folder.rename(tmp_path / "moved")
    with CapturedLog() as log:
        output.reopen()
    (line,) = log.at_least(LogLevel.error)
    assert f"{file} cannot be opened: " in line
    Logger("kazoo_bridge.x", observer=output.observer).info("later")
    assert "later" in (moved / "bridge.log").read_text()


def test_the_log_goes_to_syslog_with_priorities(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    monkeypatch.setattr(syslog.SyslogObserver, "openlog", lambda *_arguments: None)
    monkeypatch.setattr(syslog.SyslogObserver, "syslog", lambda _self, *arguments: written.append(arguments))
    output = open_log(Clock(), {"syslog": True, "prefix": "bridge"})
    Logger("kazoo_bridge.x", observer=output.observer).warn("odd\x1b")
    assert written == [(4, "[kazoo_bridge.x#warn] odd\\u001b")]


def test_another_logger_of_twistd_stays() -> None:
    output = open_log(Clock(), {"logger": object()})
    assert output.observer is None
    output.configure(Log())
    output.stop()


def test_standard_output_is_that_of_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    output = open_log(Clock(), {"nodaemon": True})
    monkeypatch.setattr(sys, "stdout", None)  # twistd replaces it with a file that logs
    Logger("kazoo_bridge.x", observer=output.observer).info("said")
