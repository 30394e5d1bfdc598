from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.web.iweb import IBodyProducer
from zope.interface.verify import verifyObject

from kazoo_bridge.webhooks.http.body_producer import BytesProducer
from tests.webhooks.harness import results_of


class Consumer:
    """Asks for a pause when it holds `limit` bytes."""

    def __init__(self, producer: BytesProducer, limit: int = 1 << 30) -> None:
        self.producer, self.limit, self.written = producer, limit, b""

    def write(self, data: bytes) -> None:
        self.written += data
        if len(self.written) >= self.limit:
            self.producer.pauseProducing()


def start(body: bytes, limit: int = 1 << 30) -> tuple[BytesProducer, Any, list[Any], Any]:
    producer = BytesProducer(body)
    consumer: Any = Consumer(producer, limit)
    done = producer.startProducing(consumer)
    return producer, consumer, results_of(done), done


def test_it_implements_its_interface() -> None:
    verifyObject(IBodyProducer, BytesProducer(b""))


@pytest.mark.parametrize("size", [0, 1, 65_536, 1_000_000])
def test_a_body_is_written_at_once(size: int) -> None:
    producer, consumer, results, _ = start(b"x" * size)
    assert (producer.length, consumer.written, results) == (size, b"x" * size, [None])


def test_a_body_is_produced_again_for_a_repetition() -> None:
    producer, _, _, _ = start(b"abc")
    again: Any = Consumer(producer)
    assert results_of(producer.startProducing(again)) == [None]
    assert again.written == b"abc"


def test_the_rest_waits_while_the_connection_takes_no_more() -> None:
    producer, consumer, results, _ = start(b"x" * 200_000, limit=60_000)
    assert (len(consumer.written), results) == (65_536, [])
    consumer.limit = 1 << 30
    producer.resumeProducing()
    assert (len(consumer.written), results) == (200_000, [None])


def test_a_body_is_not_done_before_the_connection_has_taken_it() -> None:
    producer, consumer, results, _ = start(b"x" * 1000, limit=1000)
    assert (len(consumer.written), results) == (1000, [])
    producer.resumeProducing()
    assert results == [None]


def test_a_stopped_body_writes_no_more() -> None:
    producer, consumer, results, _ = start(b"x" * 200_000, limit=1)
    producer.stopProducing()
    producer.resumeProducing()
    assert (len(consumer.written), results) == (65_536, [])


def test_a_cancelled_body_writes_no_more() -> None:
    producer, consumer, results, done = start(b"x" * 200_000, limit=1)
    done.cancel()
    producer.resumeProducing()
    assert len(consumer.written) == 65_536
    assert results[0].check(CancelledError)
