from __future__ import annotations

import pytest
from twisted.internet.testing import StringTransport
from twisted.web.iweb import IBodyProducer
from zope.interface.verify import verifyObject

from kazoo_bridge.body_producer import BytesProducer
from tests.webhooks.harness import results_of


def test_it_implements_its_interface() -> None:
    verifyObject(IBodyProducer, BytesProducer(b""))


@pytest.mark.parametrize("size", [0, 1, 65_536, 1_000_000])
def test_a_body_is_written_at_once_and_any_number_of_times(size: int) -> None:
    producer = BytesProducer(b"x" * size)
    for _ in range(2):
        consumer = StringTransport()
        assert results_of(producer.startProducing(consumer)) == [None]
        assert (producer.length, consumer.value()) == (size, b"x" * size)
