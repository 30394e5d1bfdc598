from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.web.client import readBody

from kazoo_bridge.config import NON_PUBLIC_NETWORKS
from kazoo_bridge.webhooks.egress import (
    BadDestination,
    CoalescingResolver,
    EgressDenied,
    EgressPolicy,
    denial_reason,
    guarded_agent,
    reactor_resolver,
)
from tests.webhooks.receiving import Receiver

CLOSED = EgressPolicy.from_config(NON_PUBLIC_NETWORKS, [])
LOOPBACK_OPEN = EgressPolicy.from_config(NON_PUBLIC_NETWORKS, ["127.0.0.0/8"])


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::", "not an address",
    ],
)  # fmt: skip
def test_denied_by_default(address: str) -> None:
    assert not CLOSED.permits(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_permitted(address: str) -> None:
    assert CLOSED.permits(address)


def test_exceptions() -> None:
    assert LOOPBACK_OPEN.permits("127.0.0.1")
    assert LOOPBACK_OPEN.permits("::ffff:127.0.0.1")
    assert not LOOPBACK_OPEN.permits("10.0.0.1")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]"],
)
@pytest_twisted.ensureDeferred
async def test_no_spelling_reaches_loopback(host: str) -> None:
    receiver = Receiver()
    port = (await receiver.start()).rpartition(":")[2]
    agent, pool = guarded_agent(reactor, CLOSED, 5)
    try:
        with pytest.raises((EgressDenied, BadDestination)):
            await agent.request(b"GET", f"http://{host}:{port}/".encode())
        assert not receiver.received
    finally:
        await pool.closeCachedConnections()
        await receiver.stop()


@pytest_twisted.ensureDeferred
async def test_an_exception_lets_it_through() -> None:
    receiver = Receiver()
    url = await receiver.start()
    agent, pool = guarded_agent(reactor, LOOPBACK_OPEN, 5)
    try:
        response: Any = await agent.request(b"GET", f"{url}/x".encode())
        assert response.code == 200
        assert await readBody(response) == b"ok"
    finally:
        await pool.closeCachedConnections()
        await receiver.stop()


@pytest_twisted.ensureDeferred
async def test_the_reason_given_to_customers_names_no_address() -> None:
    reason = await denial_reason(
        reactor, CoalescingResolver(reactor_resolver(reactor)), CLOSED, "http://localhost:8/", 5
    )
    assert reason is not None
    assert "localhost" in reason
    assert "127.0.0.1" not in reason
    assert (
        await denial_reason(
            reactor, CoalescingResolver(reactor_resolver(reactor)), LOOPBACK_OPEN, "http://127.0.0.1:8/", 5
        )
        is None
    )
    assert (
        await denial_reason(
            reactor, CoalescingResolver(reactor_resolver(reactor)), CLOSED, "http://no-such-host.invalid/", 5
        )
        is None
    )


@pytest_twisted.ensureDeferred
async def test_other_schemes_are_refused() -> None:
    agent, pool = guarded_agent(reactor, LOOPBACK_OPEN, 5)
    with pytest.raises(BadDestination):
        await agent.request(b"GET", b"ftp://127.0.0.1/")
    await pool.closeCachedConnections()
