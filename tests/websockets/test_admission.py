"""Addresses of clients, directly and behind proxies."""

from __future__ import annotations

import pytest

from kazoo_bridge.websockets.server.connection_limits import AdmissionControl, HandshakeRejected

PROXIES = ("10.0.0.0/8", "2001:db8:ff::/48")


def admission(per_address: int = 1) -> AdmissionControl:
    return AdmissionControl.from_config(per_address, 0, ["*"], PROXIES)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", "unknown", "unknown"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("2001:db8:ff::1", "198.51.100.1", "198.51.100.1"),
        ("local", "198.51.100.1", "local"),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str, forwarded: str, address: str) -> None:
    assert admission().address(peer, {"x-forwarded-for": forwarded}) == address


def test_a_host_with_many_ipv6_addresses_is_one() -> None:
    door = admission()
    door.acquire("2001:db8:1::1", None)
    with pytest.raises(HandshakeRejected) as refused:
        door.acquire("2001:db8:1::2", None)
    assert refused.value.status == 429
    door.acquire("2001:db8:2::1", None)
    door.release("2001:db8:1::1")
    door.acquire("2001:db8:1::2", None)
    assert door.connected == 2
