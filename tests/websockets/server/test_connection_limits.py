from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from kazoo_bridge.config import Websockets
from kazoo_bridge.interfaces import HandshakeRejected
from kazoo_bridge.websockets.server.connection_limits import (
    MAX_HANDSHAKES,
    AdmissionControl,
    choose_subprotocol,
)

PROXIES = ("10.0.0.0/8", "2001:db8:ff::/48")


def admission(**settings: Any) -> AdmissionControl:
    return AdmissionControl.from_config(evolve(Websockets(trusted_proxies=PROXIES), **settings))


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


def test_handshakes_in_progress_are_limited() -> None:
    control = admission()
    assert control.max_handshakes == MAX_HANDSHAKES
    control.max_handshakes = 2
    assert [control.handshake_started() for _ in range(3)] == [True, True, False]
    control.handshake_finished()
    assert control.handshakes == 1
    assert [control.handshake_started() for _ in range(2)] == [True, False]


def test_subprotocols() -> None:
    assert choose_subprotocol([]) is None
    assert choose_subprotocol(["chat", "kazoo-bridge.v1"]) == "kazoo-bridge.v1"
    with pytest.raises(HandshakeRejected) as refused:
        choose_subprotocol(["chat"])
    assert refused.value.status == 400
