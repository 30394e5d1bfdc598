from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.address import IPv4Address

from kazoo_bridge.websockets.server import address_budget
from kazoo_bridge.websockets.server.address_budget import BURST, CONNECTION_COST
from kazoo_bridge.websockets.server.factory import MAX_ACCEPTS, WebsocketFactory
from tests.websockets.harness import Harness


@pytest_twisted.ensureDeferred
async def test_an_address_with_too_many_connections_is_refused_before_anything_is_built(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address_budget, "FRAMES_PER_SECOND", 0.001)
    port = harness.websockets._port
    factory: WebsocketFactory = port.factory  # type: ignore[union-attr] # of a TCP port
    admission = harness.websockets.server.admission
    assert admission.budget.take("192.0.2.1", BURST - CONNECTION_COST)
    assert factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1)) is not None
    # What a busy machine may have let it regain meanwhile.
    admission.budget.take("192.0.2.1", 2 * BURST)
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
