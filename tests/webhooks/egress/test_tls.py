from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.web.server import Site

from kazoo_bridge.webhooks.egress import ConnectionPool, EgressPolicy, TlsClient, guarded_agent
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Outcome, Sender
from tests.webhooks.authority import Authority
from tests.webhooks.doors import Door
from tests.webhooks.hostile_receiver import HostileReceiver, assert_nothing_left
from tests.webhooks.receiving import Receiver

Attempt = Callable[..., Any]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class SniReceiver(Receiver):
    """Records the server names (SNI) of the handshakes; None where the client has sent none."""

    def listen(self, options: Any) -> Any:
        self.names: list[bytes | None] = []
        options.getContext().set_tlsext_servername_callback(
            lambda connection: self.names.append(connection.get_servername())
        )
        return SSL4ServerEndpoint(reactor, 0, options, interface="127.0.0.1").listen(Site(self))


class Harness:
    """Sends one request to a TLS server with the given options."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.pools: list[ConnectionPool] = []
        self.ports: list[Any] = []

    async def attempt(
        self, options: Any, tls: TlsClient, host: str = "localhost"
    ) -> tuple[Outcome, SniReceiver]:
        receiver = SniReceiver()
        port = await receiver.listen(options)
        self.ports.append(port)
        agent, pool = guarded_agent(reactor, EgressPolicy.from_config([], []), 5, tls=tls)
        self.pools.append(pool)
        url = f"https://{host}:{port.getHost().port}/"
        sender = Sender(reactor, agent, 10, pool=pool)
        return await self.door(sender, HookRequest("POST", url, {}, b"a=1")), receiver


@pytest_twisted.async_yield_fixture
async def harness(door: Door) -> AsyncIterator[Harness]:
    before = set(reactor.getDelayedCalls())
    harness = Harness(door)
    yield harness
    for pool in harness.pools:
        await pool.close()
    for port in harness.ports:
        await port.stopListening()
    await assert_nothing_left(before)


@pytest_twisted.ensureDeferred
async def test_a_certificate_of_the_bundle_is_accepted(harness: Harness, authority: Authority) -> None:
    outcome, receiver = await harness.attempt(
        authority.server("localhost"), TlsClient.from_config(authority.bundle)
    )
    assert outcome.success
    assert receiver.names == [b"localhost"]


@pytest_twisted.ensureDeferred
async def test_long_requests_share_a_connection(authority: Authority, door: Door) -> None:
    before = set(reactor.getDelayedCalls())
    receiver = SniReceiver()
    port = await receiver.listen(authority.server("localhost"))
    tls = TlsClient.from_config(authority.bundle)
    agent, pool = guarded_agent(reactor, EgressPolicy.from_config([], []), 5, tls=tls)
    sender = Sender(reactor, agent, 30, pool=pool)
    bodies = [b"a", b"b" * 1_000_000, b"c" * 70_000, b"d"]
    for body in bodies:
        url = f"https://localhost:{port.getHost().port}/"
        assert (await door(sender, HookRequest("POST", url, {}, body))).success
    assert [one.body for one in receiver.received] == bodies
    assert len(receiver.names) == 1
    await pool.close()
    await port.stopListening()
    await assert_nothing_left(before)


@pytest_twisted.ensureDeferred
async def test_a_certificate_for_an_address_is_accepted_without_sni(
    harness: Harness, authority: Authority
) -> None:
    outcome, receiver = await harness.attempt(
        authority.server("127.0.0.1"), TlsClient.from_config(authority.bundle), "127.0.0.1"
    )
    assert outcome.success
    assert receiver.names == [None]


@pytest.mark.parametrize(
    ("name", "how", "bundle", "reason"),
    [
        ("localhost", {"expired": True}, True, "the certificate of localhost is refused: it has expired"),
        (
            "localhost",
            {"self_signed": True},
            True,
            "the certificate of localhost is refused: it is self-signed",
        ),
        ("other.example", {}, True, "the certificate of localhost is refused: it is for another host"),
        ("localhost", {}, False, "the certificate of localhost is refused: its issuer is not known"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_bad_certificate_is_refused_with_a_reason(
    harness: Harness, authority: Authority, name: str, how: dict[str, bool], bundle: bool, reason: str
) -> None:
    tls = TlsClient.from_config(authority.bundle if bundle else "")
    outcome, receiver = await harness.attempt(authority.server(name, **how), tls)
    assert outcome.status is None
    assert reason in outcome.error
    assert not receiver.received


@pytest_twisted.ensureDeferred
async def test_old_versions_of_tls_are_refused(harness: Harness, authority: Authority) -> None:
    options = authority.server("localhost", newest=SSL.TLS1_1_VERSION)
    outcome, receiver = await harness.attempt(options, TlsClient.from_config(authority.bundle))
    assert outcome.status is None
    assert "TLS fails" in outcome.error
    assert "version" in outcome.error
    assert not receiver.received


@pytest.mark.parametrize("together", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_client_certificate_is_presented(
    harness: Harness, authority: Authority, tmp_path: Path, together: bool
) -> None:
    certificate, key = authority.issue("bridge.example")
    if together:
        both = tmp_path / "both.pem"
        both.write_bytes(Path(certificate).read_bytes() + Path(key).read_bytes())
        certificate, key = str(both), ""
    options = authority.server("localhost", wants_client=True)
    outcome, _ = await harness.attempt(options, TlsClient.from_config(authority.bundle, certificate, key))
    assert outcome.success


@pytest_twisted.ensureDeferred
async def test_a_missing_client_certificate_is_a_failure(harness: Harness, authority: Authority) -> None:
    options = authority.server("localhost", wants_client=True)
    outcome, receiver = await harness.attempt(options, TlsClient.from_config(authority.bundle))
    assert outcome.status is None
    assert "TLS fails" in outcome.error
    assert not receiver.received


@pytest_twisted.ensureDeferred
async def test_a_receiver_that_never_finishes_the_handshake_or_the_close(
    authority: Authority, door: Door
) -> None:
    before = set(reactor.getDelayedCalls())
    silent = HostileReceiver(lambda connection: None)
    await silent.start()
    agent, pool = guarded_agent(
        reactor, EgressPolicy.from_config([], []), 5, tls=TlsClient.from_config(authority.bundle)
    )
    url = f"https://localhost:{silent.port}/"
    outcome = await door(Sender(reactor, agent, 0.5, pool=pool), HookRequest("POST", url, {}, b"a=1"))
    assert outcome.error == "no complete answer within 0.5 s"
    await silent.all_closed()
    await silent.stop()

    # It responds, then reads no more, so that TLS's close_notify is never answered.
    def respond(connection: Any) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        connection.transport.transport.pauseProducing()

    unresponsive = HostileReceiver(respond)
    await unresponsive.start(
        SSL4ServerEndpoint(reactor, 0, authority.server("localhost"), interface="127.0.0.1")
    )
    url = f"https://localhost:{unresponsive.port}/"
    outcome = await door(Sender(reactor, agent, 5, pool=pool), HookRequest("POST", url, {}, b"a=1"))
    assert outcome.success
    await pool.close().addTimeout(5, reactor)
    await assert_nothing_left(before)
    for connection in unresponsive.open_connections:
        connection.transport.transport.resumeProducing()  # type: ignore[union-attr] # connected
    await unresponsive.all_closed()
    await unresponsive.stop()
