from __future__ import annotations

import pytest
from attrs import define, field
from twisted.internet.task import Clock

from kazoo_bridge.websockets.server.ping_schedule import MIN_PROGRESS_BYTES, PingSchedule
from kazoo_bridge.websockets.server.tcp_progress import TcpProgress

INTERVAL = 30


@define
class Client:
    """A client and its TCP connection; `paused`: earlier data waits in this process."""

    clock: Clock = field(factory=Clock)
    paused: bool = False
    progress: TcpProgress | None = None
    pings: int = 0
    deaths: int = 0
    schedule: PingSchedule = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.schedule = PingSchedule(self.clock, INTERVAL, self)
        self.schedule.start()

    def send_ping(self) -> bool:
        self.pings += not self.paused
        return not self.paused

    def measure_progress(self) -> TcpProgress | None:
        return self.progress

    def on_dead(self) -> None:
        self.deaths += 1

    def receive(self, size: int, *, is_drained: bool = False) -> None:
        """Let the client's system receive bytes; `is_drained`: that was all."""
        received = self.progress.received if self.progress else 0
        self.progress = TcpProgress(received + size, is_drained)

    def wait(self, intervals: int = 1) -> None:
        self.clock.pump([INTERVAL] * intervals)


def test_a_client_that_answers_is_pinged_once_an_interval() -> None:
    client = Client()
    for _ in range(10):
        client.wait()
        client.schedule.heard()
    assert (client.pings, client.deaths) == (10, 0)


def test_a_silent_client_is_dropped_once_an_interval_after_the_ping() -> None:
    client = Client()
    client.wait()
    assert (client.pings, client.deaths) == (1, 0)
    client.wait(3)
    assert (client.pings, client.deaths) == (1, 1)
    assert client.clock.getDelayedCalls() == []


def test_a_client_that_receives_what_was_sent_before_is_alive() -> None:
    client = Client()
    for _ in range(20):
        client.wait()
        client.receive(MIN_PROGRESS_BYTES)
    assert (client.pings, client.deaths) == (1, 0)
    client.wait(2)
    assert client.deaths == 1


def test_the_ping_itself_is_no_progress() -> None:
    client = Client()
    client.wait()
    client.receive(6, is_drained=True)
    client.wait()
    assert client.deaths == 1


def test_a_hanging_program_whose_system_receives_events_is_dropped() -> None:
    client = Client()
    client.wait()
    for _ in range(2):
        client.receive(10_000, is_drained=True)
        client.wait()
    assert client.deaths == 1


def test_an_answer_is_due_only_when_the_ping_has_been_received() -> None:
    client = Client()
    client.wait()
    for _ in range(5):
        client.receive(10_000)
        client.wait()
    client.receive(10_000, is_drained=True)
    client.wait()
    client.schedule.heard()
    client.wait(1)
    assert (client.pings, client.deaths) == (2, 0)


@pytest.mark.parametrize("knows_progress", [True, False])
def test_a_client_that_does_not_read_gets_no_ping_until_it_does(knows_progress: bool) -> None:
    client = Client(paused=True, progress=TcpProgress(0, is_drained=False) if knows_progress else None)
    client.wait()
    client.paused = False
    client.wait()
    assert (client.pings, client.deaths) == (1, 0)
    client.schedule.heard()
    client.wait()
    assert (client.pings, client.deaths) == (2, 0)


def test_a_client_that_never_reads_is_dropped() -> None:
    client = Client(paused=True, progress=TcpProgress(0, is_drained=False))
    client.wait(2)
    assert (client.pings, client.deaths) == (0, 1)


def test_a_client_that_reads_slowly_while_more_waits_is_alive() -> None:
    client = Client(paused=True, progress=TcpProgress(0, is_drained=False))
    for _ in range(10):
        client.wait()
        client.receive(600_000)
    assert (client.pings, client.deaths) == (0, 0)


def test_only_one_pong_answers_a_ping() -> None:
    client = Client()
    assert not client.schedule.take_pong()
    client.wait()
    assert client.schedule.take_pong()
    assert not client.schedule.take_pong()


def test_nothing_remains_after_the_stop() -> None:
    client = Client()
    client.schedule.stop()
    client.schedule.stop()
    assert client.clock.getDelayedCalls() == []
