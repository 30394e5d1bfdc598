from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.task import Clock

from kazoo_bridge.config import Websockets
from kazoo_bridge.websockets.actions import Actions
from kazoo_bridge.websockets.server.connection import ConnectionLimits, WebsocketEncoder
from kazoo_bridge.websockets.server.connection_limits import AdmissionControl
from kazoo_bridge.websockets.server.context import ServerContext
from kazoo_bridge.websockets.server.flusher import Flusher
from kazoo_bridge.websockets.server.reading_turns import CLIENT_UNITS, NEWCOMER_UNITS, ReadingTurns
from kazoo_bridge.websockets.sessions.resume import SessionResumer
from tests.websockets.fakes import FakeTransport, PartsHarness


@define(eq=False)
class FakeWebsocket:
    aborted: list[None] = field(factory=list)

    def abort(self) -> None:
        self.aborted.append(None)


class ContextHarness(PartsHarness):
    """A context over fakes."""

    def __init__(self) -> None:
        super().__init__()
        resumer = SessionResumer(self.registry, self.fanout)
        calls: Any = None
        self.context = ServerContext(
            self.registry,
            Actions(self.clock, self.registry, self.authorizer, self.subscriptions, resumer, calls),
            AdmissionControl.from_config(Clock(), Websockets()),
            Flusher(self.clock),
            ConnectionLimits.from_config(Websockets()),
            ReadingTurns(self.clock, CLIENT_UNITS),
            ReadingTurns(self.clock, NEWCOMER_UNITS),
        )


def test_idle_fires_when_the_last_websocket_has_closed() -> None:
    context = ContextHarness().context
    assert context.when_idle().called
    first, second = FakeWebsocket(), FakeWebsocket()
    context.opened(first)
    context.opened(second)
    idle = context.when_idle()
    context.closed(first)
    assert not idle.called
    context.closed(second)
    assert idle.called


def test_all_connections_are_aborted_also_those_in_the_handshake() -> None:
    context = ContextHarness().context
    websocket, handshake = FakeWebsocket(), FakeWebsocket()
    context.opened(websocket)
    context.admission.connected("192.0.2.1", handshake.abort)
    context.abort_all()
    assert (len(websocket.aborted), len(handshake.aborted)) == (1, 1)


def test_a_client_that_reads_too_slowly_is_closed() -> None:
    its = ContextHarness()
    closed: list[int] = []
    connection = its.context.connect(
        FakeTransport(), "192.0.2.1", 1, WebsocketEncoder(deflate=False), lambda code, _: closed.append(code)
    )
    assert list(its.registry) == [connection.session]
    connection.send_buffer._overflow()
    assert closed == [1013]
    assert not list(its.registry)


def test_a_client_counts_as_unauthenticated_until_it_authenticates() -> None:
    its = ContextHarness()
    admission = its.context.admission.connected("192.0.2.1", lambda: None)
    connection = its.context.connect(
        FakeTransport(), "192.0.2.1", 1, WebsocketEncoder(deflate=False), lambda *_: None, admission
    )
    for _ in range(3):
        assert connection.charge(0.0) == 0
    bucket = its.context.admission.budget._buckets.bucket("192.0.2.1")
    before = bucket._tokens
    connection.authenticated()
    assert len(its.context.admission.unauthenticated) == 0
    connection.charge(0.0)
    assert bucket._tokens == before
