from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from prometheus_client import CollectorRegistry
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent

from kazoo_bridge.config import Opentelemetry
from kazoo_bridge.node import span_exporter
from kazoo_bridge.node.span_exporter import BATCH_SIZE, OtlpSpanRecorder
from kazoo_bridge.spans import Span
from tests.node.otlp_collector import OtlpCollector, attributes_of

SPAN = Span(
    5, 7, 6, "POST", "client", 1_700_000_000.25, 1_700_000_000.5, {"a": "text", "n": 3, "b": True}, "5xx"
)


@pytest.fixture
def collector() -> Iterator[OtlpCollector]:
    collector = OtlpCollector()
    yield collector
    collector.stop()


@pytest_twisted.async_yield_fixture
async def recorder(collector: OtlpCollector) -> AsyncIterator[OtlpSpanRecorder]:
    """A started recorder, whose export ends in a moment at the end of the test."""
    recorder = make_recorder(collector)
    recorder.start()
    yield recorder
    collector.release.set()
    await Deferred.fromCoroutine(recorder.stop())


def make_recorder(collector: OtlpCollector, **settings: Any) -> OtlpSpanRecorder:
    return OtlpSpanRecorder(reactor, Opentelemetry(collector.endpoint, **settings), "node-1")


def counts(recorder: OtlpSpanRecorder) -> dict[str, float | None]:
    registry = CollectorRegistry()
    recorder.register_metrics(registry)
    return {
        result: registry.get_sample_value("kazoo_bridge_spans_total", {"result": result})
        for result in ("exported", "failed", "dropped")
    }


async def wait_until(condition: Any) -> None:
    deadline = reactor.seconds() + 30
    while not condition():
        assert reactor.seconds() < deadline, "not within 30 s"
        await deferLater(reactor, 0.01)


@pytest_twisted.ensureDeferred
async def test_the_collector_receives_what_is_recorded(collector: OtlpCollector) -> None:
    recorder = make_recorder(collector)
    recorder.start()
    recorder.record(SPAN)
    root = Span(5, 6, 0, "process callevt", "consumer", 1.0, 2.0, {})
    recorder.record(root)
    await recorder.stop()
    received, received_root = collector.spans
    assert (received.trace_id, received.span_id, received.parent_span_id) == (
        (5).to_bytes(16, "big"),
        (7).to_bytes(8, "big"),
        (6).to_bytes(8, "big"),
    )
    assert (received.name, received.kind) == ("POST", received.SPAN_KIND_CLIENT)
    assert received.start_time_unix_nano == 1_700_000_000_250_000_000
    assert received.end_time_unix_nano == 1_700_000_000_500_000_000
    assert attributes_of(received) == {"a": "text", "n": 3, "b": True, "error.type": "5xx"}
    assert received.status.code == received.status.STATUS_CODE_ERROR
    assert (received_root.parent_span_id, received_root.kind) == (b"", received.SPAN_KIND_CONSUMER)
    assert received_root.status.code == received.status.STATUS_CODE_UNSET
    (resource,) = collector.resources
    assert (resource["service.name"], resource["service.instance.id"]) == ("kazoo_bridge", "node-1")
    assert counts(recorder) == {"exported": 2, "failed": 0, "dropped": 0}


@pytest_twisted.ensureDeferred
async def test_spans_leave_while_the_node_runs(collector: OtlpCollector, recorder: OtlpSpanRecorder) -> None:
    for number in range(BATCH_SIZE):
        recorder.record(evolve(SPAN, span_id=number + 1))
    await wait_until(lambda: len(collector.spans) == BATCH_SIZE)


@pytest_twisted.ensureDeferred
async def test_a_collector_that_hangs_blocks_nothing_and_costs_bounded_memory(
    collector: OtlpCollector, recorder: OtlpSpanRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_exporter, "MAX_WAITING", BATCH_SIZE + 10)
    collector.release.clear()
    for number in range(BATCH_SIZE):
        recorder.record(evolve(SPAN, span_id=number + 1))
    await wait_until(collector.asked.is_set)
    for number in range(50):
        recorder.record(evolve(SPAN, span_id=number + 1))
    assert (recorder.waiting, recorder.dropped) == (BATCH_SIZE + 10, 40)
    collector.release.set()
    await wait_until(lambda: recorder.waiting == 0)
    recorder.record(SPAN)
    assert (recorder.waiting, recorder.dropped) == (1, 40)


@pytest_twisted.ensureDeferred
async def test_the_stop_waits_for_a_hanging_collector_in_another_thread(collector: OtlpCollector) -> None:
    recorder = make_recorder(collector)
    recorder.start()
    collector.release.clear()
    recorder.record(SPAN)
    stopping = Deferred.fromCoroutine(recorder.stop())
    await wait_until(collector.asked.is_set)
    assert not stopping.called
    # Nothing keeps the process from ending meanwhile.
    names = {"spans", "OtelBatchSpanRecordProcessor"}
    assert all(thread.daemon for thread in threading.enumerate() if thread.name in names)
    recorder.record(SPAN)
    assert recorder.dropped == 1
    collector.release.set()
    await stopping
    assert len(collector.spans) == 1


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_exported_is_counted_and_logged_once(collector: OtlpCollector) -> None:
    recorder = make_recorder(collector)
    recorder.start()
    collector.status = 400
    with capturedLogs() as logs:
        recorder.record(SPAN)
        await recorder.stop()
    assert counts(recorder) == {"exported": 0, "failed": 1, "dropped": 0}
    (line,) = map(formatEvent, logs)
    assert line.startswith(f"spans cannot be exported endpoint={collector.endpoint} exports=1 reason=")
    assert "400" in line


@pytest_twisted.ensureDeferred
async def test_before_the_start_spans_are_dropped(collector: OtlpCollector) -> None:
    recorder = make_recorder(collector)
    recorder.record(SPAN)
    assert counts(recorder) == {"exported": 0, "failed": 0, "dropped": 1}
    await recorder.stop()


def test_a_part_of_the_traces_is_sampled_the_same_everywhere(collector: OtlpCollector) -> None:
    half = make_recorder(collector, sample_ratio=0.5)
    traces = [(1 << 100) + (1 << 63) * number + number for number in range(2)]
    assert [half.is_sampled(one) for one in traces] == [True, False]
    assert [make_recorder(collector, sample_ratio=0.5).is_sampled(one) for one in traces] == [True, False]
    assert all(make_recorder(collector).is_sampled(one) for one in traces)
    assert not any(make_recorder(collector, sample_ratio=0.0).is_sampled(one) for one in traces)


@pytest_twisted.ensureDeferred
async def test_a_clock_that_was_set_back_makes_no_negative_duration(collector: OtlpCollector) -> None:
    recorder = make_recorder(collector)
    recorder.start()
    recorder.record(evolve(SPAN, ended=SPAN.began - 60))
    await recorder.stop()
    (received,) = collector.spans
    assert received.end_time_unix_nano == received.start_time_unix_nano


@pytest_twisted.ensureDeferred
async def test_a_text_that_is_not_unicode_spoils_no_other_span(collector: OtlpCollector) -> None:
    recorder = make_recorder(collector)
    recorder.start()
    recorder.record(SPAN)
    recorder.record(evolve(SPAN, name="process \ud800", attributes={"a": "\udcffæ"}))
    await recorder.stop()
    _, odd = collector.spans
    assert (odd.name, attributes_of(odd)["a"]) == ("process ?", "?æ")
