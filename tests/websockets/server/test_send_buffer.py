from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock, deferLater
from zope.interface.verify import verifyObject

from kazoo_bridge.websockets.server.flusher import Flusher
from kazoo_bridge.websockets.server.send_buffer import SendBuffer
from tests.websockets.fakes import FakeTransport
from tests.websockets.harness import RESELLER, Harness


class BufferHarness:
    """A send buffer on a clock, with what it has written and reported."""

    def __init__(self, max_bytes: int = 10, max_dropped: int = 3) -> None:
        self.clock = Clock()
        self.transport = FakeTransport()
        self.reported: list[Counter[str]] = []
        self.overflows = 0
        self.flusher = Flusher(self.clock)
        self.send_buffer = SendBuffer(
            self.transport, self.flusher, max_bytes, max_dropped, self.reported.append, self._on_overflow
        )

    def _on_overflow(self) -> None:
        self.overflows += 1

    @property
    def written(self) -> list[bytes]:
        return self.transport.written


def test_it_is_a_push_producer() -> None:
    assert verifyObject(IPushProducer, BufferHarness().send_buffer)


class TestFlush:
    def test_frames_are_written_together_and_in_order(self) -> None:
        its = BufferHarness()
        its.send_buffer.event(b"1", "k")
        its.send_buffer.event(b"2", "k")
        assert its.written == []
        its.clock.advance(0)
        assert its.written == [b"12"]

    def test_a_reply_is_written_at_once_after_earlier_frames(self) -> None:
        its = BufferHarness()
        its.send_buffer.event(b"1", "k")
        its.send_buffer.reply(b"2")
        its.send_buffer.event(b"3", "k")
        assert its.written == [b"12"]
        its.clock.advance(0)
        assert its.written == [b"12", b"3"]

    def test_a_failure_of_the_transport_closes_the_connection(self) -> None:
        its = BufferHarness()

        def fail(data: bytes) -> None:
            raise RuntimeError("a fault of the transport")

        its.transport.write = fail  # type: ignore[method-assign]
        with pytest.raises(RuntimeError):
            its.send_buffer.reply(b"1")
        assert (its.overflows, its.send_buffer.closed) == (1, True)

    def test_nothing_is_written_when_nothing_is_collected(self) -> None:
        its = BufferHarness()
        its.send_buffer.flush()
        assert its.written == []

    def test_a_client_that_reads_has_no_limit(self) -> None:
        its = BufferHarness(max_bytes=1, max_dropped=0)
        for _ in range(10):
            its.send_buffer.event(b"123", "k")
            its.send_buffer.reply(b"123")
        assert its.written == [b"123" * 2] * 10
        assert its.overflows == 0

    def test_what_is_written_does_not_count_any_more(self) -> None:
        its = BufferHarness(max_bytes=4)
        its.send_buffer.event(b"1234", "k")
        its.clock.advance(0)
        its.send_buffer.pauseProducing()
        its.send_buffer.event(b"1234", "k")
        assert its.send_buffer.dropped == 0


class TestClientThatDoesNotRead:
    def test_nothing_is_written_until_it_reads(self) -> None:
        its = BufferHarness()
        its.send_buffer.pauseProducing()
        assert its.send_buffer.paused
        its.send_buffer.event(b"1", "k")
        its.send_buffer.reply(b"2")
        assert not its.clock.getDelayedCalls()
        its.send_buffer.flush()
        assert its.written == []
        its.send_buffer.resumeProducing()
        assert not its.send_buffer.paused
        assert its.written == [b"12"]

    def test_frames_collected_before_a_pause_wait_too(self) -> None:
        its = BufferHarness()
        its.send_buffer.event(b"1", "k")
        its.send_buffer.pauseProducing()
        its.clock.advance(0)
        assert its.written == []

    def test_events_up_to_the_limit_are_kept_and_the_others_are_reported(self) -> None:
        its = BufferHarness(max_bytes=4, max_dropped=10)
        its.send_buffer.pauseProducing()
        for number in range(6):
            its.send_buffer.event(b"%d%d" % (number, number), "a" if number < 5 else "b")
        its.send_buffer.reply(b"r")
        its.send_buffer.resumeProducing()
        assert its.written == [b"0011r"]
        assert its.reported == [Counter({"a": 3, "b": 1})]
        assert (its.send_buffer.dropped, its.flusher.dropped) == (4, 4)
        its.send_buffer.pauseProducing()
        its.send_buffer.resumeProducing()
        assert len(its.reported) == 1

    def test_after_a_dropped_event_none_overtakes_the_report(self) -> None:
        its = BufferHarness(max_bytes=3)
        its.send_buffer.pauseProducing()
        its.send_buffer.event(b"11", "k")
        its.send_buffer.event(b"22", "k")
        its.send_buffer.event(b"3", "k")  # there would be room for it
        its.send_buffer.resumeProducing()
        assert its.written == [b"11"]
        assert its.reported == [Counter({"k": 2})]

    def test_dropping_waits_for_the_transport_if_it_pauses_again_at_once(self) -> None:
        its = BufferHarness(max_bytes=2)
        its.send_buffer.pauseProducing()
        its.send_buffer.event(b"11", "k")
        its.send_buffer.event(b"22", "k")
        its.transport.write = lambda data: its.send_buffer.pauseProducing()  # type: ignore[method-assign]
        its.send_buffer.resumeProducing()
        assert its.reported == []

    @pytest.mark.parametrize(("dropped", "overflows"), [(3, 0), (4, 1), (10, 1)])
    def test_too_many_dropped_events_overflow_once(self, dropped: int, overflows: int) -> None:
        its = BufferHarness(max_bytes=1, max_dropped=3)
        its.send_buffer.pauseProducing()
        for _ in range(dropped):
            its.send_buffer.event(b"xx", "k")
        assert (its.overflows, its.send_buffer.closed) == (overflows, bool(overflows))
        its.send_buffer.resumeProducing()
        assert its.reported == ([] if overflows else [Counter({"k": dropped})])

    def test_a_reply_overflows_when_more_than_twice_the_limit_waits(self) -> None:
        its = BufferHarness(max_bytes=4)
        its.send_buffer.pauseProducing()
        its.send_buffer.reply(b"x" * 8)
        its.send_buffer.reply(b"y")
        assert its.overflows == 0
        its.send_buffer.reply(b"z")
        assert its.overflows == 1
        its.send_buffer.reply(b"z")
        assert its.overflows == 1
        its.send_buffer.resumeProducing()
        assert its.written == []


class TestClose:
    def test_a_closed_buffer_ignores_everything(self) -> None:
        its = BufferHarness()
        its.send_buffer.event(b"1", "k")
        its.send_buffer.stopProducing()
        assert its.send_buffer.closed
        its.send_buffer.event(b"2", "k")
        its.send_buffer.reply(b"3")
        its.clock.advance(1)
        its.send_buffer.flush()
        assert its.written == []

    def test_dropped_events_are_not_reported_after_closing(self) -> None:
        its = BufferHarness(max_bytes=1)
        its.send_buffer.pauseProducing()
        its.send_buffer.event(b"xx", "k")
        its.send_buffer.close()
        its.send_buffer.resumeProducing()
        assert its.reported == []


@pytest.mark.timeout(60)
class TestOverWebsockets:
    def send_buffers(self, harness: Harness) -> list[SendBuffer]:
        outputs: list[Any] = [session.output for session in harness.sessions]
        return [output.send_buffer for output in outputs]

    @pytest_twisted.ensureDeferred
    async def test_a_slow_client_learns_what_it_missed_and_others_miss_nothing(self, tmp_path: Path) -> None:
        harness = await Harness.start(tmp_path, send_buffer_bytes=65536)
        slow, good = await harness.connect(), await harness.connect()
        for client in (slow, good):
            await client.request("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
        slow.protocol.transport.pauseProducing()
        sent = 0
        while not any(send_buffer.dropped for send_buffer in self.send_buffers(harness)):
            for _ in range(20):
                await harness.publish_call(RESELLER, call_id=f"c{sent}", Padding="x" * 10_000)
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
        missed = sent - len(seen)
        assert event["data"] == {"dropped": missed, "bindings": {"call.*.*": missed}}
        await harness.publish_call(RESELLER, call_id="after")
        assert (await slow.event())["data"]["call_id"] == "after"
        await harness.stop()

    @pytest_twisted.ensureDeferred
    async def test_a_client_that_misses_too_much_is_closed(self, tmp_path: Path) -> None:
        harness = await Harness.start(tmp_path, send_buffer_bytes=4096, max_dropped_events=10)
        slow = await harness.connect()
        await slow.request("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
        slow.protocol.transport.pauseProducing()
        while harness.sessions:
            await harness.publish_call(RESELLER, Padding="x" * 100_000)
            await deferLater(reactor, 0)
        slow.protocol.transport.resumeProducing()
        assert await slow.close_code() == 1013
        await harness.stop()
