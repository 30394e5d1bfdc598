from __future__ import annotations

from math import inf

import pytest_twisted
from twisted.internet.address import IPv4Address

from kazoo_bridge.websockets.server.address_budget import BURST, CONNECTION_COST
from kazoo_bridge.websockets.server.factory import MAX_ACCEPTS, WebsocketFactory
from tests.websockets.harness import Harness


@pytest_twisted.ensureDeferred
async def test_an_address_with_too_many_connections_is_refused_before_anything_is_built(
    harness: Harness,
) -> None:
    port = harness.websockets._port
    factory: WebsocketFactory = port.factory  # type: ignore[union-attr] # of a TCP port
    admission = harness.websockets.server.admission
    # Set before the first bucket is made: no address regains anything, however slow the machine is.
    admission.budget._buckets.refill_interval = inf
    assert admission.budget.take("192.0.2.1", BURST - CONNECTION_COST)
    assert factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1)) is not None
    assert factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 2)) is None
    assert admission.refused["rate"] == 1
    assert factory.buildProtocol(IPv4Address("TCP", "192.0.2.2", 1)) is not None
    assert factory.listening_port.numberAccepts <= MAX_ACCEPTS


@pytest_twisted.ensureDeferred
async def test_a_wrapped_factory_builds_a_protocol_in_any_case(harness: Harness) -> None:
    admission = harness.websockets.server.admission
    factory = WebsocketFactory(harness.node, harness.websockets.server)
    assert not admission.budget.take("192.0.2.1", 2 * BURST)
    assert factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1)) is not None
