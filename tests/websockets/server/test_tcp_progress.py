from __future__ import annotations

import socket
import sys
from typing import Any

import pytest
from attrs import define
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from kazoo_bridge.websockets.server.tcp_progress import tcp_progress

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports TCP progress")


@define
class FakeTransport:
    """A transport over a real socket, or none."""

    handle: object

    def getHandle(self) -> object:
        return self.handle


def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        return client, server.accept()[0]


def test_the_bytes_that_the_other_end_has_received() -> None:
    ours, other = connected()
    with ours, other:
        before = tcp_progress(FakeTransport(ours))
        assert before is not None
        ours.sendall(b"x" * 1000)
        assert other.recv(1000, socket.MSG_WAITALL)
        after = tcp_progress(FakeTransport(ours))
        assert after is not None
        assert after.received - before.received == 1000
        assert after.is_drained


def test_bytes_that_the_other_end_does_not_read() -> None:
    ours, other = connected()
    with ours, other:
        ours.setblocking(False)
        for _ in range(1000):
            try:
                ours.send(b"x" * 65_536)
            except BlockingIOError:
                break
        progress = tcp_progress(FakeTransport(ours))
        assert progress is not None
        assert not progress.is_drained


def test_wrapped_transports() -> None:
    ours, other = connected()
    with ours, other:
        wrapper: Any = ProtocolWrapper(WrappingFactory(Factory.forProtocol(Protocol)), Protocol())
        wrapper.transport = FakeTransport(ours)
        assert tcp_progress(wrapper) == tcp_progress(FakeTransport(ours)) is not None


def test_other_connections_report_nothing() -> None:
    ours, other = socket.socketpair()
    with ours, other:
        assert tcp_progress(FakeTransport(ours)) is None
    assert tcp_progress(FakeTransport(None)) is None
    assert tcp_progress(object()) is None
