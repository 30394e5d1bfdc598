from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.config import Websockets
from kazoo_bridge.interfaces import HandshakeRejected
from kazoo_bridge.websockets.server.address_budget import BURST, HANDSHAKE_COST
from kazoo_bridge.websockets.server.connection_limits import (
    Admission,
    AdmissionControl,
    choose_subprotocol,
)

PROXIES = ("10.0.0.0/8", "2001:db8:ff::/48")


def admission(**settings: Any) -> AdmissionControl:
    return AdmissionControl.from_config(Clock(), evolve(Websockets(trusted_proxies=PROXIES), **settings))


def rejected(control: AdmissionControl, address: str, origin: str | None = None) -> tuple[int, str] | None:
    try:
        control.acquire(address, origin)
    except HandshakeRejected as error:
        return error.status, error.reason
    return None


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
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "unknown", "unknown"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("2001:db8:ff::1", "198.51.100.1", "198.51.100.1"),
        ("local", "198.51.100.1", "local"),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str, forwarded: str, address: str) -> None:
    assert admission().client_address(peer, {"x-forwarded-for": forwarded}) == address


def test_connections_are_limited_in_total_with_503() -> None:
    control = admission(max_connections=1)
    assert rejected(control, "192.0.2.1") is None
    assert rejected(control, "192.0.2.2") == (503, "too many connections")
    control.release("192.0.2.1")
    assert rejected(control, "192.0.2.2") is None


def test_connections_are_limited_per_network_with_429() -> None:
    control = admission(max_connections_per_ip=1)
    assert rejected(control, "2001:db8:1::1") is None
    assert rejected(control, "2001:db8:1::2") == (429, "too many connections from this address")
    assert rejected(control, "2001:db8:2::1") is None
    control.release("2001:db8:1::1")
    assert rejected(control, "2001:db8:1::2") is None
    assert control.connections.total == 2


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("https://portal.example.com", True),
        ("HTTPS://Portal.Example.com", True),
        ("https://a.example.org", True),
        ("http://portal.example.com", False),
        ("https://portal.example.com.evil.test", False),
        ("null", False),
    ],
)
def test_origins(origin: str | None, allowed: bool) -> None:
    control = admission(allowed_origins=("https://portal.example.com", "https://*.example.org"))
    assert rejected(control, "192.0.2.1", origin) == (None if allowed else (403, "the origin is not allowed"))
    assert control.connections.total == int(allowed)


def test_refusals_are_counted_and_logged_once_a_minute() -> None:
    control = admission(max_connections=2, max_connections_per_ip=1)
    with capturedLogs() as logged:
        for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"):
            rejected(control, address)
    assert control.refused == {"address": 1, "total": 1}
    assert [event["address"] for event in logged] == ["192.0.2.1"]
    with capturedLogs() as logged:
        control.stop()
    assert [event["count"] for event in logged] == [1]


def test_a_connection_counts_from_its_beginning_to_its_end() -> None:
    control = admission()
    one = control.connected("192.0.2.1", lambda: None)
    assert len(control.unauthenticated) == 1
    assert one.handshake_begun("192.0.2.1")
    one.admit("192.0.2.1", None)
    assert (control.connections.total, len(control.unauthenticated)) == (1, 1)
    one.authenticated()
    assert (control.connections.total, len(control.unauthenticated)) == (1, 0)
    one.closed()
    one.closed()
    assert control.connections.total == 0


def test_a_connection_that_is_not_admitted_counts_until_it_is_closed() -> None:
    control = admission(max_connections=1)
    control.acquire("192.0.2.1", None)
    one = control.connected("192.0.2.2", lambda: None)
    with pytest.raises(HandshakeRejected):
        one.admit("192.0.2.2", None)
    assert len(control.unauthenticated) == 1
    one.closed()
    assert (control.connections.total, len(control.unauthenticated)) == (1, 0)


def test_handshakes_of_one_address_are_limited_in_rate() -> None:
    control = admission()
    begun = [control.connected("192.0.2.1", lambda: None).handshake_begun("192.0.2.1") for _ in range(1000)]
    assert begun.count(True) == BURST // HANDSHAKE_COST
    assert control.refused["rate"] == 1000 - BURST // HANDSHAKE_COST
    assert control.connected("192.0.2.2", lambda: None).handshake_begun("192.0.2.2")
    control.stop()


def test_clients_behind_a_proxy_are_distinguished() -> None:
    control = admission(max_unauthenticated_per_ip=2)
    dropped: list[str] = []

    def connect(address: str) -> Admission:
        one = control.connected("10.0.0.1", lambda: dropped.append(address))
        assert one.handshake_begun("10.0.0.1")
        one.admit(address, None)
        return one

    for number in range(4):
        connect(f"192.0.2.{number}")
    assert not dropped
    for _ in range(3):
        connect("192.0.2.9")
    assert dropped == ["192.0.2.9"]
    for _ in range(BURST // HANDSHAKE_COST - 3):
        connect("192.0.2.9").closed()
    with pytest.raises(HandshakeRejected) as refused:
        connect("192.0.2.9")
    assert refused.value.status == 429
    connect("192.0.2.10")
    control.stop()


def test_the_proxy_protocol_names_the_client_with_the_first_bytes() -> None:
    control = admission(max_unauthenticated_per_ip=2)
    dropped: list[int] = []
    for number in range(4):
        one = control.connected("203.0.113.1", lambda number=number: dropped.append(number))  # type: ignore[misc]
        assert one.handshake_begun(f"192.0.2.{number}")
        assert one.address == f"192.0.2.{number}"
    assert not dropped


def test_without_a_limit_by_address_addresses_are_not_distinguished() -> None:
    control = admission(max_connections_per_ip=0)
    for _ in range(2 * BURST):
        one = control.connected("192.0.2.1", lambda: pytest.fail("dropped"))
        assert one.handshake_begun("192.0.2.1")
        assert one.charge_frame()


def test_subprotocols() -> None:
    assert choose_subprotocol([]) is None
    assert choose_subprotocol(["chat", "kazoo-bridge.v1"]) == "kazoo-bridge.v1"
    with pytest.raises(HandshakeRejected) as refused:
        choose_subprotocol(["chat"])
    assert refused.value.status == 400
