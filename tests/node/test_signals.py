from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.task import Clock
from twisted.logger import LogEvent, capturedLogs, formatEvent

from kazoo_bridge.node.signals import SignalHandler


class FakeReactor(Clock):
    """Runs what is given to `callWhenRunning` at once, and counts the calls of `stop`."""

    def __init__(self) -> None:
        super().__init__()
        self.stop_count = 0

    def callWhenRunning(self, function: Callable[[], Any]) -> None:
        function()

    def callFromThread(self, function: Callable[..., Any], *arguments: Any) -> None:
        function(*arguments)

    def stop(self) -> None:
        self.stop_count += 1


@define
class Harness:
    reactor: FakeReactor = field(factory=FakeReactor)
    forced_count: int = 0
    exit_hooks: list[Callable[[], None]] = field(factory=list)
    exit_codes: list[int] = field(factory=list)
    logged: Sequence[LogEvent] = ()
    handler: SignalHandler = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.handler = SignalHandler(self.reactor)

    called: list[str] = field(factory=list)

    def install(self) -> None:
        self.handler.install(
            self._on_forced, lambda: self.called.append("reload"), lambda: self.called.append("status")
        )
        self.reactor.advance(0)

    def _on_forced(self) -> None:
        self.forced_count += 1

    def exit_process(self) -> list[int]:
        """Run what is registered with `atexit`; returns the codes of `os._exit`."""
        for hook in self.exit_hooks:
            hook()
        return self.exit_codes

    def logged_texts(self) -> list[str | None]:
        # Connections of earlier tests may end, and say so, now.
        ours = [event for event in self.logged if event["log_namespace"].startswith("kazoo_bridge")]
        return [formatEvent(event) for event in ours]


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    harness = Harness()
    monkeypatch.setattr("atexit.register", harness.exit_hooks.append)
    monkeypatch.setattr("os._exit", harness.exit_codes.append)
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    with capturedLogs() as harness.logged:
        yield harness
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_the_first_signal_stops_the_reactor_and_the_process_ends_with_0(
    harness: Harness, number: signal.Signals
) -> None:
    harness.install()
    signal.raise_signal(number)
    assert (harness.reactor.stop_count, harness.forced_count) == (1, 0)
    assert harness.exit_process() == []
    assert harness.logged_texts() == [f"{number.name}: draining"]


def test_every_further_signal_forces_the_shutdown(harness: Harness) -> None:
    harness.install()
    for _ in range(3):
        signal.raise_signal(signal.SIGTERM)
    assert (harness.reactor.stop_count, harness.forced_count) == (1, 2)
    assert harness.exit_process() == []


def test_a_signal_after_an_order_to_stop_forces_nothing(harness: Harness) -> None:
    # A signal to all processes of a node reaches a worker after the order of the first one.
    harness.install()
    harness.handler.stop()
    signal.raise_signal(signal.SIGTERM)
    assert (harness.reactor.stop_count, harness.forced_count) == (1, 0)
    signal.raise_signal(signal.SIGTERM)
    assert (harness.reactor.stop_count, harness.forced_count) == (1, 1)


def test_handlers_are_set_after_those_of_the_reactor(harness: Harness) -> None:
    before = signal.getsignal(signal.SIGTERM)
    harness.handler.install(lambda: None)
    assert signal.getsignal(signal.SIGTERM) is before
    harness.reactor.advance(0)
    assert signal.getsignal(signal.SIGTERM) is not before


def test_an_error_is_printed_and_the_process_ends_with_1(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", output)
    harness.install()
    harness.handler.exit_with_error("http.endpoint: taken")
    assert output.getvalue() == "kazoo_bridge: http.endpoint: taken\n"
    assert harness.logged_texts() == ["http.endpoint: taken"]
    assert harness.reactor.stop_count == 1
    assert harness.exit_process() == [1]


def test_an_error_without_a_stderr_still_ends_the_process(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "__stderr__", None)
    harness.install()
    harness.handler.exit_with_error("no stderr")
    assert harness.exit_process() == [1]


def test_an_error_while_draining_does_not_stop_the_reactor_again(harness: Harness) -> None:
    harness.install()
    signal.raise_signal(signal.SIGTERM)
    harness.handler.exit_with_error("the start failed")
    assert harness.reactor.stop_count == 1
    assert harness.exit_process() == [1]


def test_sighup_reloads_and_sigusr1_logs_the_status_from_the_start_on(harness: Harness) -> None:
    harness.handler.install(
        lambda: None, lambda: harness.called.append("reload"), lambda: harness.called.append("status")
    )
    signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGUSR1)
    assert harness.called == ["reload", "status"]
    assert harness.logged_texts() == ["SIGHUP: reloading", "SIGUSR1: status follows"]
    assert harness.reactor.stop_count == 0


#: Signals that end a process, or stop it, whatever it does; and those of faults and of other uses.
_LEFT_ALONE = {
    *("SIGKILL", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGCONT", "SIGCHLD", "SIGCLD", "SIGWINCH"),
    *("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGIOT", "SIGSYS", "SIGTRAP", "SIGURG"),
}


def test_no_other_signal_ends_the_process(harness: Harness) -> None:
    harness.install()
    for name in (one.name for one in signal.Signals):
        if name not in _LEFT_ALONE:
            assert signal.getsignal(signal.Signals[name]) is not signal.SIG_DFL, name
    for number in (signal.SIGUSR2, signal.SIGALRM, signal.SIGRTMIN, signal.SIGRTMIN + 3):
        signal.raise_signal(number)
    assert harness.reactor.stop_count == 0
    assert harness.logged_texts() == [
        "SIGUSR2: ignored",
        "SIGALRM: ignored",
        "SIGRTMIN: ignored",
        f"signal {signal.SIGRTMIN + 3}: ignored",
    ]
