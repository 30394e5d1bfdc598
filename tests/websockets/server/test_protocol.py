from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from tests.websockets.harness import RESELLER, Harness

pytestmark = pytest.mark.timeout(30)

Test = Callable[[Harness], Coroutine[Deferred[Any], Any, None]]


def with_settings(**settings: Any) -> Callable[[Test], Callable[[Path], None]]:
    """Run a test on a node with these settings of websockets."""

    def decorate(test: Test) -> Callable[[Path], None]:
        @pytest_twisted.ensureDeferred
        async def run(tmp_path: Path) -> None:
            harness = await Harness.start(tmp_path, **settings)
            try:
                await test(harness)
            finally:
                await harness.stop()

        run.__name__ = test.__name__
        return run  # type: ignore[no-any-return] # pytest_twisted is not typed

    return decorate


async def handshake_status(harness: Harness, **headers: str) -> int:
    """The HTTP status of a handshake with these headers."""
    needed = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "x" * 22 + "==",
        "Sec-WebSocket-Version": "13",
    }
    sent = Headers({name: [value] for name, value in {**needed, **headers}.items()})
    response = await treq.get(f"http://{harness.websockets.host}/", headers=sent, persistent=False)
    return int(response.code)


class RawClient(Protocol):
    """A bare TCP connection to the websocket port."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Deferred[None] = Deferred()

    @classmethod
    async def connect(cls, harness: Harness) -> RawClient:
        host, port = harness.websockets.host.split(":")
        client: RawClient = await connectProtocol(HostnameEndpoint(reactor, host, int(port)), cls())
        return client

    def write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def abort(self) -> None:
        transport: ITCPTransport = ITCPTransport(self.transport)
        transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


class TestHandshake:
    @pytest_twisted.ensureDeferred
    async def test_any_path_but_no_other_subprotocol(self, harness: Harness) -> None:
        client = await harness.connect(path="/some/where?x=1")
        assert (await client.request("ping"))["status"] == "success"
        ours = await harness.connect(protocols=["chat", "kazoo-bridge.v1"])
        assert ours.protocol.websocket_protocol_in_use == "kazoo-bridge.v1"
        with pytest.raises(ConnectionRefusedError):
            await harness.connect(protocols=["chat"])
        plain = await treq.get(f"http://{harness.websockets.host}/", persistent=False)
        assert plain.code == 426

    @pytest_twisted.ensureDeferred
    async def test_its_size_is_limited(self, harness: Harness) -> None:
        raw = await RawClient.connect(harness)
        raw.write(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 20_000)
        await raw.lost.addTimeout(5, reactor)
        assert raw.received.startswith(b"HTTP/1.1 431 ")
        client = await harness.connect(headers={"X-Long": "x" * 10_000})
        assert (await client.request("ping"))["status"] == "success"


@with_settings(handshake_timeout_s=1)
async def test_a_handshake_that_does_not_end_is_dropped(harness: Harness) -> None:
    silent, slow = await RawClient.connect(harness), await RawClient.connect(harness)
    slow.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
    await silent.lost.addTimeout(10, reactor)
    await slow.lost.addTimeout(10, reactor)
    assert len(harness.websockets.server.admission.unauthenticated) == 0


@with_settings(max_unauthenticated_per_ip=2)
async def test_a_further_handshake_replaces_the_oldest_of_its_address(harness: Harness) -> None:
    first, second = await RawClient.connect(harness), await RawClient.connect(harness)
    client = await harness.connect()
    await first.lost.addTimeout(5, reactor)
    assert not second.lost.called
    assert (await client.request("ping"))["status"] == "success"
    assert len(harness.websockets.server.admission.unauthenticated) == 1


@with_settings(max_unauthenticated_per_ip=2)
async def test_a_further_socket_replaces_one_that_has_not_authenticated(harness: Harness) -> None:
    good = await harness.connect()
    first, second = await harness.connect(None), await harness.connect(None)
    third = await harness.connect(None)
    assert await first.close_code() == 1006
    await harness.wait_until(lambda: len(harness.sessions) == 3)
    for client in (good, second, third):
        token = harness.tokens[RESELLER]
        assert (await client.request("ping", auth_token=token))["status"] == "success"
    assert len(harness.websockets.server.admission.unauthenticated) == 0


@with_settings(max_connections_per_ip=2)
async def test_connections_of_one_address_are_limited(harness: Harness) -> None:
    first, _ = await harness.connect(), await harness.connect()
    assert await handshake_status(harness) == 429
    # The client is no trusted proxy.
    assert await handshake_status(harness, **{"X-Forwarded-For": "203.0.113.9"}) == 429
    await first.close()
    assert (await (await harness.connect()).request("ping"))["status"] == "success"


@with_settings(max_connections_per_ip=1, trusted_proxies=("127.0.0.0/8",))
async def test_addresses_behind_a_trusted_proxy(harness: Harness) -> None:
    client = await harness.connect(headers={"X-Forwarded-For": "198.51.100.7, 203.0.113.9"})
    await harness.connect(headers={"X-Forwarded-For": "203.0.113.10"})
    assert await handshake_status(harness, **{"X-Forwarded-For": "192.0.2.1, 203.0.113.9"}) == 429
    assert {session.source for session in harness.sessions} == {"203.0.113.9", "203.0.113.10"}
    assert (await client.request("ping"))["status"] == "success"


@with_settings(max_connections=1)
async def test_connections_in_total_are_limited(harness: Harness) -> None:
    await harness.connect()
    assert await handshake_status(harness) == 503


@with_settings(allowed_origins=("https://portal.example.com",))
async def test_only_pages_of_allowed_origins_connect(harness: Harness) -> None:
    await harness.connect(origin="https://portal.example.com")
    await harness.connect()  # no browser
    assert await handshake_status(harness, Origin="https://evil.example.com") == 403


class TestFrames:
    @pytest_twisted.ensureDeferred
    async def test_binary_frames_are_refused_and_large_ones_close_the_socket(self, harness: Harness) -> None:
        client = await harness.connect()
        client.protocol.sendMessage(b'{"action": "ping"}', True)
        assert (await client.notice())["data"] == {"errors": ["expected a text frame, got a binary one"]}
        client.send(b'"' + b"x" * 70_000 + b'"')
        assert await client.close_code() == 1009

    @pytest_twisted.ensureDeferred
    async def test_a_client_with_compression_receives_the_same_events(self, harness: Harness) -> None:
        compressed, plain = await harness.connect(deflate=True), await harness.connect()
        for client in (compressed, plain):
            await client.request("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
        assert compressed.protocol.websocket_extensions_in_use
        for number in range(3):
            more = {"Long": "text " * 300, "From": "é" * number}
            await harness.publish_call(RESELLER, call_id=f"c{number}", **more)
            assert await compressed.event() == await plain.event()

    @pytest_twisted.ensureDeferred
    async def test_an_event_has_kazoos_form(self, harness: Harness) -> None:
        client = await harness.connect()
        await client.request("subscribe", {"account_id": RESELLER, "binding": "call.CHANNEL_CREATE.*"})
        more: dict[str, Any] = {"Node": "n1", "Caller-ID-Name": "Žofie", "Nothing": None}
        await harness.publish_call(RESELLER, **more)
        assert await client.event() == {
            "action": "event",
            "subscribed_key": "call.CHANNEL_CREATE.*",
            "subscription_key": f"call.{RESELLER}.CHANNEL_CREATE.*",
            "name": "CHANNEL_CREATE",
            "routing_key": f"call.{RESELLER}.CHANNEL_CREATE.call-1",
            "data": {
                "event_category": "call_event",
                "event_name": "CHANNEL_CREATE",
                "call_id": "call-1",
                "msg_id": "m",
                "caller_id_name": "Žofie",
                "custom_channel_vars": {"account_id": RESELLER},
            },
        }


@with_settings(rate_burst=1_000_000)
async def test_pongs_are_not_queued_for_a_client_that_does_not_read(harness: Harness) -> None:
    client = await harness.connect()
    (session,) = harness.sessions
    output: Any = session.output
    server = output.send_buffer._transport  # Autobahn's side of the connection, which has the traffic
    transport, traffic = client.protocol.transport, server.protocol.trafficStats
    transport.pauseProducing()
    pings = (b"\x89\xfd\0\0\0\0" + b"x" * 125) * 5000
    expected, remaining = traffic.incomingOctetsWireLevel, 4
    while remaining:
        transport.write(pings)
        expected += len(pings)
        while traffic.incomingOctetsWireLevel < expected:
            await deferLater(reactor, 0)
        remaining -= output.send_buffer.paused
    assert len(server.dataBuffer) + sum(map(len, server._tempDataBuffer)) < 200_000
    transport.resumeProducing()
    assert (await client.request("ping"))["status"] == "success"


@with_settings(rate_burst=3, rate_per_second=1)
async def test_messages_beyond_the_rate_limit_are_refused_and_close_the_socket(harness: Harness) -> None:
    hasty, other = await harness.connect(), await harness.connect()
    for _ in range(250):
        hasty.send({"action": "ping"})
    assert await hasty.close_code() == 4429
    assert (await other.request("ping"))["status"] == "success"


@with_settings(ping_interval_s=1)
async def test_a_client_that_does_not_answer_pings_is_dropped(harness: Harness) -> None:
    client = await harness.connect()
    client.protocol.sendPong = lambda payload=None: None
    assert await client.close_code() == 1006
    assert not harness.sessions


@with_settings(authentication_timeout_s=1)
async def test_a_client_that_does_not_authenticate_is_closed(harness: Harness) -> None:
    client, good = await harness.connect(None), await harness.connect()
    assert (await client.notice())["data"] == {"errors": ["authentication token required"]}
    assert await client.close_code() == 4408
    assert (await good.request("ping"))["status"] == "success"


@with_settings()
async def test_a_closed_connection_leaves_nothing(harness: Harness) -> None:
    client = await harness.connect()
    await client.request("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
    idle = harness.websockets.server.when_idle()
    assert not idle.called
    await client.close()
    await idle.addTimeout(5, reactor)
    assert harness.websockets.server.admission.connections.total == 0
    assert not harness.sessions
    assert not harness.websockets.fanout.index.topics
    assert harness.websockets.server.when_idle().called
