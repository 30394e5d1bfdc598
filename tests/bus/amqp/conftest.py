from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from kazoo_bridge.bus.amqp.connection import failover_endpoint
from tests.bus.amqp.memory_broker import MemoryBroker


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> MemoryBroker:
    """A broker in memory, which every connection reaches."""
    made = MemoryBroker(Clock())
    monkeypatch.setattr(failover_endpoint, "endpoint_for", made.endpoint_for)
    return made
