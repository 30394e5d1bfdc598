from __future__ import annotations

import random
from time import process_time

import pytest
from attrs import define, field

from kazoo_bridge.websockets.server.unauthenticated import (
    UnauthenticatedConnection,
    UnauthenticatedConnections,
)


@define
class Pool:
    """Connections by name, and the names of the dropped ones."""

    connections: UnauthenticatedConnections
    dropped: list[str] = field(factory=list)

    def add(self, name: str, address: str, *, is_proxy: bool = False) -> UnauthenticatedConnection:
        return self.connections.add(address, lambda: self.dropped.append(name), is_proxy=is_proxy)


def make_pool(max_total: int = 0, max_per_group: int = 0) -> Pool:
    return Pool(UnauthenticatedConnections(max_total, max_per_group))


def test_a_connection_beyond_the_limit_of_its_address_replaces_the_oldest_one() -> None:
    pool = make_pool(max_per_group=2)
    for name in ("a", "b", "c", "d"):
        pool.add(name, "192.0.2.1")
        pool.add(f"other {name}", f"192.0.2.{100 + ord(name)}")
    assert pool.dropped == ["a", "b"]
    assert (len(pool.connections), pool.connections.dropped) == (6, 2)


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_addresses_of_one_group(first: str, second: str, is_same: bool) -> None:
    pool = make_pool(max_per_group=1)
    pool.add("first", first)
    pool.add("second", second)
    assert pool.dropped == (["first"] if is_same else [])


def test_beyond_the_total_the_greediest_address_loses_its_oldest_connection() -> None:
    pool = make_pool(max_total=4)
    pool.add("single", "192.0.2.1")
    for name in ("g1", "g2", "g3"):
        pool.add(name, "192.0.2.66")
    pool.add("newcomer", "192.0.2.2")
    pool.add("another", "192.0.2.3")
    assert pool.dropped == ["g1", "g2"]
    pool.add("last", "192.0.2.4")
    assert pool.dropped == ["g1", "g2", "single"]


def test_a_client_that_has_authenticated_is_not_dropped() -> None:
    pool = make_pool(max_total=1)
    first = pool.add("first", "192.0.2.1")
    pool.connections.remove(first)
    pool.connections.remove(first)
    pool.add("second", "192.0.2.1")
    pool.connections.move(first, "192.0.2.9")
    assert (pool.dropped, len(pool.connections)) == ([], 1)


def test_the_limit_by_address_applies_to_a_proxys_clients_and_not_to_the_proxy() -> None:
    pool = make_pool(max_per_group=1)
    first, second = (pool.add(name, "10.0.0.1", is_proxy=True) for name in ("first", "second"))
    assert not pool.dropped
    pool.connections.move(first, "192.0.2.1")
    pool.connections.move(second, "192.0.2.1")
    assert pool.dropped == ["first"]


def test_all_can_be_dropped() -> None:
    pool = make_pool()
    for number in range(5):
        pool.add(str(number), f"192.0.2.{number % 2}")
    pool.connections.drop_all()
    assert (sorted(pool.dropped), len(pool.connections)) == (["0", "1", "2", "3", "4"], 0)


def test_random_traffic_leaves_nothing_and_never_exceeds_the_limits() -> None:
    rng = random.Random(1)
    pool = make_pool(max_total=50, max_per_group=8)
    held: list[UnauthenticatedConnection] = []
    for _ in range(5000):
        chance, address = rng.random(), f"192.0.2.{rng.randrange(20)}"
        if chance < 0.6 or not held:
            held.append(pool.add("", address))
        elif chance < 0.8:
            pool.connections.move(rng.choice(held), address)
        else:
            pool.connections.remove(held.pop(rng.randrange(len(held))))
        assert len(pool.connections) <= 50
        assert max(map(len, pool.connections._groups.values()), default=0) <= 8
        sizes = {group: len(members) for group, members in pool.connections._groups.items()}
        assert pool.connections._largest == max(sizes.values(), default=0)
        by_size = pool.connections._by_size
        assert {group: size for size, groups in by_size.items() for group in groups} == sizes
    for connection in held:
        pool.connections.remove(connection)
    assert len(pool.connections) == 0
    assert not pool.connections._groups


def test_a_flood_costs_the_same_for_each_connection() -> None:
    def seconds(connections: int) -> float:
        pool = make_pool(max_total=connections // 2)
        started = process_time()
        for number in range(connections):
            pool.add("", f"2001:db8:{number // 3:x}::1")
        return process_time() - started

    assert seconds(16_000) < 20 * max(seconds(2000), 0.002)
