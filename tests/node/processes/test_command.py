from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any

import pytest
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import jsonFileLogObserver

from kazoo_bridge.node.processes.command import WorkerCommand
from kazoo_bridge.node.processes.link import MESSAGES


class FakeReactor:
    def __init__(self) -> None:
        self.spawned: list[tuple[Any, ...]] = []

    def spawnProcess(self, *arguments: Any, **options: Any) -> None:
        self.spawned.append((*arguments, options))


def spawn(
    options: dict[str, Any], config: str | None = None, *, has_log_file: bool = False
) -> tuple[Any, ...]:
    reactor: Any = FakeReactor()
    command = WorkerCommand.from_twistd(options, config, has_log_file=has_log_file)
    command.spawn(reactor, 3, ProcessProtocol())
    (spawned,) = reactor.spawned
    assert isinstance(spawned, tuple)
    return spawned


def test_a_worker_is_the_same_program_with_the_same_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("KAZOO_BRIDGE__NODE__PROCESSES", "3")
    _, program, arguments, environment, folder, options = spawn({"rundir": "run"}, "/etc/bridge.toml")
    assert program == arguments[0] == sys.executable
    assert arguments[1:3] == ["-P", "-c"]
    assert arguments[4:] == [
        *("--nodaemon", "--pidfile=", "--rundir=run", "--logfile=-"),
        *("kazoo_bridge", "--config", "/etc/bridge.toml", "--worker", "3"),
    ]
    assert {"NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS"}.isdisjoint(environment)
    assert environment["KAZOO_BRIDGE__NODE__PROCESSES"] == "3"
    assert environment["PYTHONPATH"].split(os.pathsep) == [path for path in sys.path if path]
    assert folder == os.getcwd()
    assert options == {"childFDs": {0: "w", 1: 1, 2: 2, MESSAGES: "r"}}


def test_only_the_first_process_writes_a_log_file() -> None:
    *_, options = spawn({"logfile": "bridge.log"}, has_log_file=True)
    assert options == {"childFDs": {0: "w", 1: "r", 2: "r", MESSAGES: "r"}}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"syslog": 1, "prefix": "bridge"}, ["--syslog", "--prefix=bridge"]),
        # twistd has imported it.
        ({"logger": jsonFileLogObserver}, ["--logger=twisted.logger._json.jsonFileLogObserver"]),
        ({"logger": partial(print)}, ["--logfile=-"]),
        ({"reactor": "asyncio"}, ["--reactor=asyncio", "--logfile=-"]),
    ],
)
def test_a_worker_has_the_log_and_the_reactor_of_the_first_process(
    options: dict[str, Any], expected: list[str]
) -> None:
    _, _, arguments, *_ = spawn(options)
    assert arguments[7:-3] == expected
