from __future__ import annotations

from kazoo_bridge.rest.http.login_throttle import LoginThrottle
from twisted.internet.task import Clock

from kazoo_bridge.rest.http import token_buckets


def test_a_burst_and_then_one_at_a_time() -> None:
    clock = Clock()
    limit = LoginThrottle(clock, burst=3, refill_seconds=10)
    assert [limit.take("192.0.2.1") for _ in range(4)] == [0, 0, 0, 10]
    assert limit.take("192.0.2.2") == 0
    clock.advance(4)
    assert limit.take("192.0.2.1") == 6
    clock.advance(6)
    assert [limit.take("192.0.2.1") for _ in range(2)] == [0, 10]
    clock.advance(10_000)
    assert [limit.take("192.0.2.1") for _ in range(4)] == [0, 0, 0, 10]


def test_success_costs_nothing() -> None:
    limit = LoginThrottle(Clock(), burst=1)
    for _ in range(10):
        assert limit.take("192.0.2.1") == 0
        limit.give_back("192.0.2.1")
    limit.give_back("192.0.2.1")
    limit.give_back("192.0.2.9")
    assert limit.take("192.0.2.1") == 0
    assert limit.take("192.0.2.1") > 0


def test_one_ipv6_network_is_one_address() -> None:
    limit = LoginThrottle(Clock(), burst=1)
    assert limit.take("2001:db8::1") == 0
    assert limit.take("2001:db8::ffff:2%eth0") > 0
    assert limit.take("2001:db8:0:1::1") == 0
    assert limit.take("::ffff:192.0.2.1") == 0
    assert limit.take("192.0.2.1") > 0
    assert limit.take("local") == 0
    assert limit.take("local") > 0


def test_a_bounded_number_of_addresses_is_remembered() -> None:
    limit = LoginThrottle(Clock(), burst=1)
    for number in range(token_buckets.MAX_KEYS + 1):
        limit.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(limit._buckets) == token_buckets.MAX_KEYS
    assert limit.take("10.0.0.0") == 0
    assert limit.take("10.0.39.16") > 0
