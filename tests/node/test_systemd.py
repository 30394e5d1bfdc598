from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from kazoo_bridge.node.systemd import SystemdNotifier

NAMES = ("path", "abstract")


@pytest.fixture(params=NAMES)
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A manager's socket, and its address as systemd writes it into the environment."""
    name = str(tmp_path / "notify") if request.param == "path" else f"\0kazoo-bridge-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiving:
        receiving.bind(name)
        receiving.settimeout(10)
        yield receiving, name.replace("\0", "@")


def received(manager: socket.socket) -> list[str]:
    manager.setblocking(False)
    messages = []
    while True:
        try:
            messages.append(manager.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_the_life_of_a_service(manager: tuple[socket.socket, str]) -> None:
    receiving, address = manager
    clock = Clock()
    notifier = SystemdNotifier.from_environment(
        clock, {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}
    )
    clock.advance(100)
    assert (
        received(receiving) == []
    )  # the watchdog waits for the first sign of life until the service is ready
    notifier.ready("serves")
    assert received(receiving) == ["READY=1\nSTATUS=serves", "WATCHDOG=1"]
    clock.advance(29)
    assert received(receiving) == []
    clock.advance(1)
    assert received(receiving) == ["WATCHDOG=1"]
    notifier.stopping()
    clock.advance(30)
    assert received(receiving) == ["STOPPING=1\nSTATUS=draining", "WATCHDOG=1"]
    notifier.close()
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    "watchdog",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}],
    ids=str,
)
def test_without_a_watchdog_there_are_no_signs_of_life(watchdog: dict[str, str], tmp_path: Path) -> None:
    clock = Clock()
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiving:
        receiving.bind(address)
        SystemdNotifier.from_environment(clock, {"NOTIFY_SOCKET": address, **watchdog}).ready("serves")
        assert received(receiving) == ["READY=1\nSTATUS=serves"]
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}], ids=str)
def test_without_a_manager_nothing_is_sent(environment: dict[str, str]) -> None:
    clock = Clock()
    notifier = SystemdNotifier.from_environment(clock, {**environment, "WATCHDOG_USEC": "60000000"})
    with capturedLogs() as logs:
        notifier.ready("serves")
        notifier.stopping()
        notifier.close()
    assert (clock.getDelayedCalls(), logs) == ([], [])


def test_a_manager_that_is_gone_is_logged(tmp_path: Path) -> None:
    notifier = SystemdNotifier.from_environment(Clock(), {"NOTIFY_SOCKET": f"{tmp_path}/gone"})
    with capturedLogs() as logs:
        notifier.ready("serves")
    [event] = logs
    assert formatEvent(event).startswith(f"systemd at {tmp_path}/gone does not take READY=1: ")
