from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock

from kazoo_bridge.directory.crossbar.availability import Availability
from kazoo_bridge.directory.crossbar.http_client import CrossbarClient
from tests.directory.crossbar.stand_in import StandInCrossbar


@pytest_twisted.async_yield_fixture
async def crossbar() -> AsyncIterator[StandInCrossbar]:
    """A running stand-in for crossbar."""
    stand_in = StandInCrossbar()
    stand_in.start()
    yield stand_in
    stand_in.release()
    await stand_in.stop()


@pytest.fixture
def clock() -> Clock:
    """The clock of caches; HTTP uses the reactor's."""
    clock = Clock()
    clock.advance(1_800_000_000)
    return clock


@pytest_twisted.async_yield_fixture
async def client(crossbar: StandInCrossbar, clock: Clock) -> AsyncIterator[CrossbarClient]:
    client = CrossbarClient(reactor, crossbar.uri, Availability(clock), timeout=5, max_requests=64)
    yield client
    await client.close()
