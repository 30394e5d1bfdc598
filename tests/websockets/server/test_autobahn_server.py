from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import UNIXAddress
from twisted.internet.testing import StringTransport

from kazoo_bridge.websockets.server import autobahn_server
from kazoo_bridge.websockets.server.autobahn_server import (
    MAX_HANDSHAKE_BYTES,
    OPTION_NAMES,
    AutobahnServerProtocol,
    QuietLogger,
    with_options,
)
from tests.websockets.raw_socket import HANDSHAKE


class FakeFactory:
    """What Autobahn uses of a factory."""

    isServer = True
    server = ""
    externalPort = 0
    headers: dict[str, str] = {}  # noqa: RUF012 - Autobahn's name
    countConnections = 0


OPTIONS: dict[str, Any] = {
    **dict.fromkeys(OPTION_NAMES, 0),
    "versions": [13],
    "allowedOrigins": ["*"],
    "allowedOriginsPatterns": [],
    "allowNullOrigin": True,
    "requireMaskedClientFrames": True,
    "applyMask": True,
    "perMessageCompressionAccept": lambda offers: None,
}
Server = with_options(AutobahnServerProtocol, OPTIONS)


def connect(transport: Any = None) -> tuple[Any, Any]:
    protocol: Any = Server()
    transport = transport or StringTransport()
    protocol.factory = FakeFactory()
    protocol.makeConnection(transport)
    return protocol, transport


def test_a_connection_has_the_options_of_its_class() -> None:
    protocol, _ = connect()
    assert {name: getattr(protocol, name) for name in OPTION_NAMES} == OPTIONS
    assert not set(OPTION_NAMES) & set(vars(protocol))
    assert protocol.peer == "192.168.1.1:54321"


def test_an_open_connection_keeps_nothing_of_the_handshake() -> None:
    protocol, transport = connect()
    before = set(vars(protocol))
    protocol.data = HANDSHAKE
    protocol.processHandshake()
    assert transport.value().startswith(b"HTTP/1.1 101 ")
    assert protocol.state == protocol.STATE_OPEN
    assert not any(name.startswith(("http_", "_wskey")) for name in vars(protocol))
    assert len(vars(protocol)) < 43  # the size at which Python doubles it
    # All that Autobahn has set has a value still, and the connection works.
    for name in before - {"_transport_details"}:
        getattr(protocol, name)
    transport.clear()
    protocol.sendPing()
    protocol.send_close(1001, "going away")
    assert transport.value() == b"\x89\x00\x88\x0c\x03\xe9going away"
    assert protocol.closedByMe
    assert not Server().closedByMe


def test_a_unix_socket_has_no_address() -> None:
    protocol, _ = connect(StringTransport(peerAddress=UNIXAddress(None)))
    assert protocol.peer_address() == ("local", 0)


def test_the_handshake_has_arrived_with_its_last_byte() -> None:
    protocol, _ = connect()
    protocol.data = HANDSHAKE[:-1]
    assert not protocol.has_handshake()
    protocol.data = HANDSHAKE
    assert protocol.has_handshake()
    protocol.data = b"x" * (MAX_HANDSHAKE_BYTES + 1)
    assert protocol.has_handshake()


def test_refusals_are_complete_responses_of_one_line_each() -> None:
    protocol, transport = connect()
    protocol.sendHttpErrorResponse(403, "no\r\nSet-Cookie: x")
    assert transport.value() == (
        b"HTTP/1.1 403 noSet-Cookie: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )


def test_a_close_frame_may_have_the_codes_of_servers() -> None:
    protocol, transport = connect()
    protocol.dataReceived(HANDSHAKE)
    transport.clear()
    protocol.send_close(1013, "slow")
    assert transport.value() == b"\x88\x06" + (1013).to_bytes(2, "big") + b"slow"


def test_the_log_has_only_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []

    class FakeLogger:
        def error(self, template: str, **fields: Any) -> None:
            logged.append(template)

    monkeypatch.setattr(autobahn_server, "_log", FakeLogger())
    logger = QuietLogger()
    logger.info("one")
    logger.debug("two")
    logger.error("three")
    assert logged == ["three"]
