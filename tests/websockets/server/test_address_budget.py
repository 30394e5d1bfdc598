from __future__ import annotations

from twisted.internet.task import Clock

from kazoo_bridge.websockets.server.address_budget import (
    BURST,
    FRAMES_PER_SECOND,
    HANDSHAKE_COST,
    MAX_ADDRESSES,
    AddressBudget,
)


def test_the_clients_of_an_address_share_a_budget() -> None:
    clock = Clock()
    budget = AddressBudget(clock)
    assert sum(budget.take("2001:db8::1") for _ in range(BURST)) == BURST
    assert not budget.take("2001:db8::2")
    assert budget.take("2001:db8:0:1::1")
    clock.advance(1)
    assert sum(budget.take("2001:db8::2") for _ in range(BURST)) == FRAMES_PER_SECOND


def test_a_handshake_costs_more_than_a_frame() -> None:
    budget = AddressBudget(Clock())
    assert sum(budget.take("192.0.2.1", HANDSHAKE_COST) for _ in range(BURST)) == BURST // HANDSHAKE_COST


def test_an_address_without_tokens_has_no_room_until_they_return() -> None:
    clock = Clock()
    budget = AddressBudget(clock)
    assert budget.has_room("192.0.2.1")
    assert budget.take("192.0.2.1", BURST)
    assert not budget.has_room("192.0.2.1")
    assert budget.has_room("192.0.2.2")
    clock.advance(1)
    assert budget.has_room("192.0.2.1")


def test_without_addresses_nothing_is_counted() -> None:
    budget = AddressBudget(Clock(), enabled=False)
    assert all(budget.take("192.0.2.1") for _ in range(2 * BURST))
    assert budget.has_room("192.0.2.1")


def test_the_number_of_addresses_is_limited() -> None:
    budget = AddressBudget(Clock())
    for number in range(MAX_ADDRESSES + 10):
        budget.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(budget._buckets) == MAX_ADDRESSES
