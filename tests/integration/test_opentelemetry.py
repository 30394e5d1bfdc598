"""Spans of a whole node: of an event, of the attempts at its delivery, and of a command."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.node_process import NodeProcess, eventually
from tests.integration.test_nodes import ACCOUNT, Broker
from tests.integration.web_receiver import WebReceiver
from tests.node.otlp_collector import OtlpCollector, attributes_of


@pytest.fixture
def collector() -> Iterator[OtlpCollector]:
    collector = OtlpCollector()
    yield collector
    collector.stop()


@pytest.fixture
def node(tmp_path: Path, vhost_uri: str, collector: OtlpCollector) -> Iterator[NodeProcess]:
    """A node that exports all spans, and whose hooks are tried again after a second."""
    config = f'[opentelemetry]\nendpoint = "{collector.endpoint}"\n[webhooks]\nretry_schedule_s = [1]\n'
    node = NodeProcess(tmp_path, vhost_uri, config)
    node.command("account", "create", "--id", ACCOUNT)
    node.start()
    yield node
    node.stop()


@pytest.fixture
def broker(vhost_uri: str) -> Iterator[Broker]:
    broker = Broker(vhost_uri)
    yield broker
    broker.close()


def create_hook(node: NodeProcess, receiver: WebReceiver) -> str:
    """Create a hook for new calls; returns the token."""
    token = node.command("token", "create", "--account", ACCOUNT)
    hook = {"name": "n", "uri": receiver.url, "hook": "channel_create", "retries": 1}
    assert node.rest("PUT", f"/v2/accounts/{ACCOUNT}/webhooks", token, hook).status_code == 201
    return token


def spans_of_hooks(collector: OtlpCollector) -> list[Any]:
    return [span for span in collector.spans if span.name == "POST"]


def test_an_event_and_all_attempts_at_its_delivery_are_one_trace(
    node: NodeProcess, broker: Broker, receiver: WebReceiver, collector: OtlpCollector
) -> None:
    token = create_hook(node, receiver)
    receiver.status = 500
    broker.call(ACCOUNT, "c1")
    receiver.wait_for(1)
    receiver.status = 200
    eventually(lambda: spans_of_hooks(collector)[1:], "the spans of two attempts")
    failed, delivered = spans_of_hooks(collector)[:2]
    [event] = [span for span in collector.spans if span.name == "process callevt"]
    assert [attributes_of(one)["http.response.status_code"] for one in (failed, delivered)] == [500, 200]
    assert {one.trace_id for one in (failed, delivered)} == {event.trace_id}
    assert {one.parent_span_id for one in (failed, delivered)} == {event.span_id}
    assert attributes_of(event)["kazoo_bridge.event_id"] == f"msg_{event.trace_id.hex()}"
    headers = [arrival.headers["Traceparent"] for arrival in receiver.wait_for(2)]
    assert headers == [f"00-{one.trace_id.hex()}-{one.span_id.hex()}-01" for one in (failed, delivered)]

    path = f"/v2/accounts/{ACCOUNT}/channels/unknown"
    assert node.rest("POST", path, token, {"action": "hangup"}).status_code == 404
    eventually(
        lambda: [span for span in collector.spans if span.name == "command hangup"], "the span of a command"
    )
    assert 'kazoo_bridge_spans_total{result="exported"}' in node.rest("GET", "/metrics").text


def test_the_stop_exports_what_waits(
    node: NodeProcess, broker: Broker, receiver: WebReceiver, collector: OtlpCollector
) -> None:
    create_hook(node, receiver)
    broker.call(ACCOUNT, "c1")
    receiver.wait_for(1)
    node.signal(signal.SIGTERM)
    assert node.process is not None
    assert node.process.wait(30) == 0
    assert len(spans_of_hooks(collector)) == 1


def test_a_collector_that_hangs_delays_neither_deliveries_nor_the_end(
    node: NodeProcess, broker: Broker, receiver: WebReceiver, collector: OtlpCollector
) -> None:
    create_hook(node, receiver)
    collector.release.clear()
    for number in range(20):
        broker.call(ACCOUNT, f"c{number}")
    receiver.wait_for(20)
    eventually(collector.asked.is_set, "the collector is asked")
    node.signal(signal.SIGTERM)
    assert node.process is not None
    assert node.process.wait(30) == 0  # the collector would hang for twice as long


def test_all_processes_of_a_node_export_spans(
    tmp_path: Path, vhost_uri: str, broker: Broker, receiver: WebReceiver, collector: OtlpCollector
) -> None:
    config = f'[opentelemetry]\nendpoint = "{collector.endpoint}"\n[node]\nname = "n"\nprocesses = 2\n'
    node = NodeProcess(tmp_path, vhost_uri, config)
    node.command("account", "create", "--id", ACCOUNT)
    node.start()
    try:
        eventually(lambda: node.rest("GET", "/readyz").text == "ready\n", "all processes", 60)
        create_hook(node, receiver)
        for number in range(60):
            broker.call(ACCOUNT, f"c{number}")
        receiver.wait_for(60)
        eventually(lambda: len(spans_of_hooks(collector)) == 60, "all spans")
        assert {one["service.instance.id"] for one in collector.resources} == {"n", "n-2"}
        traces = {one.trace_id.hex() for one in spans_of_hooks(collector)}
        assert {one.headers["Traceparent"].split("-")[1] for one in receiver.arrivals} == traces
    finally:
        node.stop()
