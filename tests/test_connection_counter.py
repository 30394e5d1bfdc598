from __future__ import annotations

import pytest

from kazoo_bridge.connection_counter import ConnectionCounter, ConnectionLimitReached


def counter(max_total: int = 0, max_per_network: int = 0) -> ConnectionCounter:
    return ConnectionCounter(max_total, max_per_network)


def test_connections_are_limited_in_total() -> None:
    connections = counter(max_total=2)
    connections.acquire("192.0.2.1")
    connections.acquire("192.0.2.2")
    with pytest.raises(ConnectionLimitReached, match=r"^too many connections$") as refused:
        connections.acquire("192.0.2.3")
    assert not refused.value.per_network
    assert connections.total == 2
    connections.release("192.0.2.1")
    connections.acquire("192.0.2.3")


def test_connections_are_limited_per_address() -> None:
    connections = counter(max_per_network=1)
    connections.acquire("192.0.2.1")
    with pytest.raises(ConnectionLimitReached, match="from this address") as refused:
        connections.acquire("192.0.2.1")
    assert refused.value.per_network
    connections.acquire("192.0.2.2")
    connections.release("192.0.2.1")
    connections.acquire("192.0.2.1")
    assert connections.total == 2


def test_an_ipv6_network_counts_as_one_client() -> None:
    connections = counter(max_per_network=1)
    connections.acquire("2001:db8:1::1")
    with pytest.raises(ConnectionLimitReached):
        connections.acquire("2001:db8:1::2")
    connections.acquire("2001:db8:1:1::1")
    connections.release("2001:db8:1::2")
    connections.acquire("2001:db8:1::3")


def test_zero_means_no_limit() -> None:
    connections = counter()
    for _ in range(1000):
        connections.acquire("local")
    assert connections.total == 1000


def test_a_connection_moves_to_the_address_that_a_proxy_names() -> None:
    connections = counter(max_total=2, max_per_network=1)
    connections.acquire("proxy")
    connections.move("proxy", "192.0.2.1")
    connections.acquire("proxy")
    with pytest.raises(ConnectionLimitReached) as refused:
        connections.move("proxy", "192.0.2.1")
    assert refused.value.per_network
    assert connections.total == 2
    connections.release("proxy")
    connections.release("192.0.2.1")
    assert connections.total == 0


def test_a_move_within_a_network_changes_nothing() -> None:
    connections = counter(max_per_network=1)
    connections.acquire("2001:db8::1")
    connections.move("2001:db8::1", "2001:db8::2")
    assert connections.total == 1
    connections.release("2001:db8::2")
    assert connections.total == 0


def test_a_closed_connection_leaves_no_entry() -> None:
    connections = counter(max_per_network=2)
    connections.acquire("192.0.2.1")
    connections.release("192.0.2.1")
    assert "192.0.2.1" not in repr(connections)
