"""A client that does not read: it is told what it missed, and closed when that is too much. Nobody else notices."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater

from kazoo_bridge.websockets.server.send_buffer import FLUSH_INTERVAL, Flusher, SendBuffer
from tests.websockets.stage import RESELLER, Stage

pytestmark = pytest.mark.timeout(60)


class Written:
    """A transport that remembers."""

    def __init__(self) -> None:
        self.data: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.data.append(data)


class Desk:
    """An outbox on a clock."""

    def __init__(self, limit: int = 10, max_dropped: int = 3) -> None:
        self.clock = Clock()
        self.written = Written()
        self.told: list[Counter[str]] = []
        self.hopeless = 0
        self.flusher = Flusher(self.clock)
        self.outbox = SendBuffer(
            self.written, self.flusher, limit, max_dropped, self.told.append, self._hopeless
        )

    def _hopeless(self) -> None:
        self.hopeless += 1


def test_frames_of_one_tick_are_written_together_and_in_order() -> None:
    desk = Desk()
    desk.outbox.event(b"1", "k")
    desk.outbox.reply(b"2")
    desk.clock.advance(0)
    assert desk.written.data == [b"12"]
    desk.outbox.event(b"3", "k")
    desk.clock.advance(FLUSH_INTERVAL / 2)
    assert desk.written.data == [b"12"]
    desk.outbox.event(b"4", "k")
    desk.clock.advance(FLUSH_INTERVAL)
    assert desk.written.data == [b"12", b"34"]
    assert not desk.clock.getDelayedCalls()


def test_what_is_dropped_is_counted_and_told_when_there_is_room() -> None:
    desk = Desk(limit=4, max_dropped=10)
    desk.outbox.pauseProducing()
    for number in range(6):
        desk.outbox.event(b"%d%d" % (number, number), "a" if number < 5 else "b")
    desk.outbox.reply(b"r")
    assert desk.written.data == []
    desk.outbox.resumeProducing()
    assert desk.written.data == [b"0011r"]
    assert desk.told == [Counter({"a": 3, "b": 1})]


def test_after_a_drop_nothing_overtakes_the_notice() -> None:
    desk = Desk(limit=3)
    desk.outbox.pauseProducing()
    desk.outbox.event(b"11", "k")
    desk.outbox.event(b"22", "k")
    desk.outbox.event(b"3", "k")  # there would be room for it
    desk.outbox.resumeProducing()
    assert desk.written.data == [b"11"]
    assert desk.told == [Counter({"k": 2})]


def test_too_many_drops_are_hopeless_once() -> None:
    desk = Desk(limit=1, max_dropped=3)
    desk.outbox.pauseProducing()
    for _ in range(10):
        desk.outbox.event(b"xx", "k")
    assert desk.hopeless == 1
    desk.outbox.resumeProducing()
    assert (desk.written.data, desk.told) == ([], [])


def test_replies_are_bounded_too() -> None:
    desk = Desk(limit=4)
    desk.outbox.pauseProducing()
    for _ in range(20):
        desk.outbox.reply(b"xxx")
    assert desk.hopeless == 1


@pytest_twisted.ensureDeferred
async def test_a_slow_socket_is_told_and_the_others_notice_nothing(tmp_path: Path) -> None:
    stage = await Stage.of(tmp_path, send_buffer_bytes=65536)
    slow, good = await stage.client(), await stage.client()
    for client in (slow, good):
        await client.ask("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
    slow.protocol.transport.pauseProducing()
    sent = 0
    outboxes = [session.output.outbox for session in stage.bridge.websockets.sessions]  # type: ignore[union-attr]
    while not any(one.dropped for one in outboxes):
        for _ in range(20):
            await stage.call(RESELLER, call_id=f"c{sent}", Padding="x" * 10_000)
            sent += 1
        assert (await good.event())["data"]["call_id"] == f"c{sent - 20}"
        for _ in range(19):
            await good.event()
        await deferLater(reactor, 0)
    slow.protocol.transport.resumeProducing()
    seen = []
    while (event := await slow.event())["name"] != "overflow":
        seen.append(event["data"]["call_id"])
    assert seen == [f"c{number}" for number in range(len(seen))]
    assert event["data"] == {"dropped": sent - len(seen), "bindings": {"call.*.*": sent - len(seen)}}
    await stage.call(RESELLER, call_id="after")
    assert (await slow.event())["data"]["call_id"] == "after"
    await stage.stop()


@pytest_twisted.ensureDeferred
async def test_a_hopeless_socket_is_closed(tmp_path: Path) -> None:
    stage = await Stage.of(tmp_path, send_buffer_bytes=4096, max_dropped_events=10)
    slow = await stage.client()
    await slow.ask("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
    slow.protocol.transport.pauseProducing()
    while len(stage.bridge.websockets.sessions):
        await stage.call(RESELLER, Padding="x" * 100_000)
        await deferLater(reactor, 0)
    slow.protocol.transport.resumeProducing()
    assert await slow.close_code() == 1013
    await stage.stop()


@pytest_twisted.ensureDeferred
async def test_signs_of_life_are_not_heaped_up_for_a_client_that_does_not_read(stage: Stage) -> None:
    client = await stage.client()
    (session,) = list(stage.bridge.websockets.sessions)
    outbox = session.output.outbox  # type: ignore[union-attr]
    server = outbox._transport
    transport, traffic = client.protocol.transport, server.protocol.trafficStats
    transport.pauseProducing()
    pings = (b"\x89\xfd\0\0\0\0" + b"x" * 125) * 5000
    expected, more = traffic.incomingOctetsWireLevel, 4
    while more:
        transport.write(pings)
        expected += len(pings)
        while traffic.incomingOctetsWireLevel < expected:
            await deferLater(reactor, 0.01)
        more -= outbox.paused
    assert len(server.dataBuffer) + sum(map(len, server._tempDataBuffer)) < 200_000
    transport.resumeProducing()
    assert (await client.ask("ping"))["status"] == "success"


def test_a_stopped_flusher_leaves_no_call() -> None:
    desk = Desk()
    desk.outbox.event(b"1", "k")
    desk.flusher.stop()
    assert desk.written.data == [b"1"]
    assert not desk.clock.getDelayedCalls()
