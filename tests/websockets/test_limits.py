"""What one client, or one address, may take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import treq
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.websockets.stage import RESELLER, Stage

pytestmark = pytest.mark.timeout(30)


def staged(**settings: Any) -> Any:
    """A test on a bridge with these settings of websockets."""

    def decorate(test: Any) -> Any:
        @pytest_twisted.ensureDeferred
        async def run(tmp_path: Path) -> None:
            stage = await Stage.of(tmp_path, **settings)
            try:
                await test(stage)
            finally:
                await stage.stop()

        run.__name__ = test.__name__
        return run

    return decorate


async def status_of_handshake(stage: Stage, **headers: str) -> int:
    url = f"http://{stage.bridge.websockets.host}/"
    needed = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "x" * 22 + "==",
        "Sec-WebSocket-Version": "13",
    }
    response = await treq.get(url, headers={**needed, **headers}, persistent=False)
    return int(response.code)


@staged(max_connections_per_ip=2)
async def test_connections_of_one_address(stage: Stage) -> None:
    first, _ = await stage.client(), await stage.client()
    assert await status_of_handshake(stage) == 429
    await first.close()
    assert (await (await stage.client()).ask("ping"))["status"] == "success"
    # A client's own word about where it is counts for nothing.
    assert await status_of_handshake(stage, **{"X-Forwarded-For": "203.0.113.9"}) == 429


@staged(max_connections_per_ip=1, trusted_proxies=("127.0.0.0/8",))
async def test_addresses_behind_a_trusted_proxy(stage: Stage) -> None:
    one = await stage.client(headers={"X-Forwarded-For": "198.51.100.7, 203.0.113.9"})
    await stage.client(headers={"X-Forwarded-For": "203.0.113.10"})
    assert await status_of_handshake(stage, **{"X-Forwarded-For": "192.0.2.1, 203.0.113.9"}) == 429
    assert {session.source for session in stage.bridge.websockets.sessions} == {"203.0.113.9", "203.0.113.10"}
    assert (await one.ask("ping"))["status"] == "success"


@staged(max_connections=1)
async def test_connections_in_all(stage: Stage) -> None:
    await stage.client()
    assert await status_of_handshake(stage) == 503


@staged(max_connections_per_account=1)
async def test_who_resumes_is_not_one_too_many(stage: Stage) -> None:
    first = await stage.client()
    session = (await first.ask("resume", {}))["data"]["session"]
    # A connection that is not known to be broken gives way to the client's next one, ...
    second = await stage.client(None)
    data = {"session": session, "sequence": 0}
    assert (await second.ask("resume", data, auth_token=stage.tokens[RESELLER]))["data"]["resumed"] is True
    assert await first.close_code() == 4409
    # ... and one that is known to be broken does not count.
    await second.close()
    third = await stage.client(None)
    assert (await third.ask("resume", data, auth_token=stage.tokens[RESELLER]))["data"]["resumed"] is True
    one_more = await stage.client(None)
    one_more.send({"action": "resume", "auth_token": stage.tokens[RESELLER], "data": {}})
    assert await one_more.close_code() == 4429


@staged(max_connections_per_account=1)
async def test_connections_of_one_account(stage: Stage) -> None:
    first, second = await stage.client(), await stage.client(None)
    second.send({"action": "ping", "auth_token": stage.tokens[RESELLER]})
    assert (await second.notice())["data"] == {"errors": ["the account has too many sockets"]}
    assert await second.close_code() == 4429
    assert (await first.ask("ping"))["status"] == "success"


@staged(max_subscriptions=3)
async def test_subscriptions_of_one_socket(stage: Stage) -> None:
    client = await stage.client()
    await client.ask("subscribe", {"account_id": RESELLER, "bindings": ["call.*.*", "object.*.*"]})
    answer = await client.ask(
        "subscribe", {"account_id": RESELLER, "bindings": ["fax.status.1", "fax.status.2"]}
    )
    assert answer["data"] == {"errors": ["a socket can have at most 3 subscriptions"]}
    again = await client.ask("subscribe", {"account_id": RESELLER, "bindings": ["call.*.*", "fax.status.1"]})
    assert again["data"] == {"subscribed": ["call.*.*", "object.*.*", "fax.status.1"]}


@staged(rate_burst=5, rate_per_second=1)
async def test_messages_of_one_socket(stage: Stage) -> None:
    hasty, other = await stage.client(), await stage.client()
    for _ in range(4):
        await hasty.ask("ping")
    answer = await hasty.ask("ping")
    assert answer["data"]["errors"][0].startswith("rate limiting threshold hit for 127.0.0.1:")
    assert (await other.ask("ping"))["status"] == "success"
    hasty.send(b"no json")
    assert (await hasty.notice())["status"] == "error"
    for _ in range(250):
        hasty.send({"action": "ping"})
    assert await hasty.close_code() == 4429


@staged(authentication_timeout_s=1)
async def test_who_does_not_authenticate_is_closed(stage: Stage) -> None:
    client, good = await stage.client(None), await stage.client()
    assert (await client.notice())["data"] == {"errors": ["authentication token required"]}
    assert await client.close_code() == 4408
    assert (await good.ask("ping"))["status"] == "success"


@staged(idle_timeout_s=1)
async def test_who_neither_listens_nor_speaks_is_closed(stage: Stage) -> None:
    idle, listening = await stage.client(), await stage.client()
    await listening.ask("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
    assert await idle.close_code() == 1000
    await stage.call(RESELLER)
    assert (await listening.event())["name"] == "CHANNEL_CREATE"


@staged(ping_interval_s=1)
async def test_who_does_not_answer_pings_is_dropped(stage: Stage) -> None:
    client = await stage.client()
    client.protocol.sendPong = lambda payload=None: None
    code = await client.close_code()
    assert code == 1006
    assert not list(stage.bridge.websockets.sessions)


@staged(handshake_timeout_s=1)
async def test_who_does_not_end_the_handshake_is_dropped(stage: Stage) -> None:
    from twisted.internet import reactor
    from twisted.internet.endpoints import clientFromString
    from twisted.internet.protocol import Factory, Protocol

    gone: Deferred[None] = Deferred()

    class Silent(Protocol):
        def connectionMade(self) -> None:
            assert self.transport is not None
            self.transport.write(b"GET / HTTP/1.1\r\nHost: x\r\n")

        def connectionLost(self, reason: object = None) -> None:
            gone.callback(None)

    host, port = stage.bridge.websockets.host.rsplit(":", 1)
    await clientFromString(reactor, f"tcp:{host}:{port}").connect(Factory.forProtocol(Silent))
    await gone.addTimeout(10, reactor)


@staged(allowed_origins=("https://portal.example.com", "https://*.example.org"))
async def test_origins_of_web_pages(stage: Stage) -> None:
    for origin in ("https://portal.example.com", "https://a.example.org"):
        await stage.client(origin=origin)
    await stage.client()  # no browser
    for origin in ("https://evil.example.com", "http://portal.example.com", "null"):
        assert await status_of_handshake(stage, Origin=origin) == 403


@staged()
async def test_a_bridge_that_stops_says_so(stage: Stage) -> None:
    client = await stage.client()
    await client.ask("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
    await stage.bridge.websockets.stop()
    assert await client.close_code() == 1001


class Peer(Protocol):
    """Bare TCP to the websockets' port."""

    def __init__(self) -> None:
        self.data = b""
        self.lost: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


async def peer_of(stage: Stage) -> Peer:
    host, port = stage.bridge.websockets.host.split(":")
    return await connectProtocol(HostnameEndpoint(reactor, host, int(port)), Peer())


@staged()
async def test_the_head_of_a_handshake_is_bounded(stage: Stage) -> None:
    peer = await peer_of(stage)
    peer.transport.write(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 20_000)
    await peer.lost.addTimeout(5, reactor)
    assert peer.data.startswith(b"HTTP/1.1 431 ")
    assert (await (await stage.client(headers={"X-Long": "x" * 10_000})).ask("ping"))["status"] == "success"


@staged()
async def test_handshakes_under_way_are_bounded(stage: Stage) -> None:
    admission = stage.bridge.websockets.server.admission
    stage.bridge.websockets.server.admission = few = evolve(admission, max_handshakes=2)
    waiting = [await peer_of(stage), await peer_of(stage)]
    await (await peer_of(stage)).lost.addTimeout(5, reactor)
    waiting[0].transport.abortConnection()
    while few.handshakes > 1:
        await deferLater(reactor, 0.01)
    assert (await (await stage.client()).ask("ping"))["status"] == "success"
    assert (await (await stage.client()).ask("ping"))["status"] == "success"
    assert few.connected == 2
