"""Messages that cannot be read are counted by reason, and logged at most once a minute for each."""

from __future__ import annotations

import gzip

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from twisted.internet.task import Clock
from twisted.logger import LogLevel

from kazoo_bridge.bus.message_decoder import MessageDecoder
from kazoo_bridge.log_throttle import LOG_INTERVAL
from tests.bus.harness import CapturedLog


def metrics(decoder: MessageDecoder) -> str:
    registry = CollectorRegistry()
    decoder.register_metrics(registry)
    return generate_latest(registry).decode()


@pytest.mark.parametrize(
    ("raw", "content_encoding", "reason"),
    [
        (b"no json", None, "not_json"),
        (b"[]", None, "not_an_object"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, None, "too_deep"),
        (b"[" * 100_000, None, "too_deep"),
        (gzip.compress(b" " * 10_000_000), "gzip", "too_large"),
        (b'{"a":[' + b"[]," * 500_001 + b"1]}", None, "too_large"),
        (b"{}", "br", "encoding"),
        (gzip.compress(b"{}")[:-1], "gzip", "encoding"),
    ],
)
def test_an_unreadable_message_is_counted_by_reason(
    raw: bytes, content_encoding: str | None, reason: str
) -> None:
    decoder = MessageDecoder(Clock())
    assert decoder.decode("callevt", "call.x", raw, content_encoding, False) is None
    assert {name: count for name, count in decoder.unreadable.items() if count} == {reason: 1}
    assert f'kazoo_bridge_events_unreadable_total{{reason="{reason}"}} 1.0' in metrics(decoder)
    decoder.stop()


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b'{"Caller-ID-Name":"J\xf6rg"}', "J\ufffdrg"),
        (b'{"Caller-ID-Name":"\x07bell"}', "\ufffdbell"),
        (b'{"Caller-ID-Name":"\\ud800x"}', "\ufffdx"),
    ],
)
def test_a_call_with_a_broken_name_is_delivered_and_counted(raw: bytes, name: str) -> None:
    decoder = MessageDecoder(Clock())
    event = decoder.decode("callevt", "call.x", raw, None, False)
    assert event is not None
    assert event.body == {"Caller-ID-Name": name}
    assert (decoder.repaired, sum(decoder.unreadable.values())) == (1, 0)
    assert "kazoo_bridge_events_repaired_total 1.0" in metrics(decoder)
    decoder.stop()


@pytest.mark.parametrize("raw", [b'{"a":89014103211118510720}', b'{"a":[89014103211118510720]}'])
def test_long_integers_are_read_as_they_are(raw: bytes) -> None:
    event = MessageDecoder(Clock()).decode("callevt", "call.x", raw, None, False)
    assert event is not None
    assert event.body["a"] in (89014103211118510720, [89014103211118510720])


def test_messages_of_one_reason_are_logged_at_most_once_in_an_interval() -> None:
    clock = Clock()
    decoder = MessageDecoder(clock)
    with CapturedLog() as log:
        for number in range(100):
            decoder.decode("callevt", f"call.{number}", b"", None, False)
        assert len(log.at_least(LogLevel.warn)) == 1
        clock.advance(LOG_INTERVAL)
    first, second = log.at_least(LogLevel.warn)
    assert "count=1 " in first
    assert "count=99 " in second
    assert "routing_key=call.99:" in second
    decoder.stop()
    assert clock.getDelayedCalls() == []
