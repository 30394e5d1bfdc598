"""Outsiders against the websocket port: idle connections, floods of frames, clients that never leave."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import process_time
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from kazoo_bridge.websockets.actions import Actions
from kazoo_bridge.websockets.server import address_budget, factory, protocol
from kazoo_bridge.websockets.server.address_budget import BURST, FAILURE_COST, HANDSHAKE_COST
from kazoo_bridge.websockets.server.connection import Connection
from kazoo_bridge.websockets.server.frames import CloseCode
from kazoo_bridge.websockets.server.reading_turns import CLIENT_UNITS, NEWCOMER_UNITS, UNITS_PER_READER
from tests.config.files import make_certificate
from tests.websockets.harness import RESELLER, Harness
from tests.websockets.raw_socket import (
    CLOSE,
    CONTINUATION,
    HANDSHAKE,
    PING,
    PONG,
    TEXT,
    RawSocket,
    frame,
)

pytestmark = pytest.mark.timeout(30)

#: Seconds of processor time that an attack may cost, attacker included.
MAX_COST = 1.0


@pytest.fixture
def no_refill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the budgets of addresses stay as they are, however slow the machine."""
    monkeypatch.setattr(address_budget, "FRAMES_PER_SECOND", 0.001)


@asynccontextmanager
async def node(folder: Path, **settings: Any) -> AsyncIterator[Harness]:
    harness = await Harness.start(folder, **settings)
    try:
        yield harness
    finally:
        await harness.stop()


async def connect_many(harness: Harness, sources: list[str]) -> list[RawSocket]:
    """Connect from each of the addresses; connections that the server drops are no error."""
    sockets = []
    for source in sources:
        sockets.append(RawSocket(harness.websockets.port, source))
        if len(sockets) % 40 == 0:  # the backlog of the port
            await deferLater(reactor, 0)
    admission = harness.websockets.server.admission
    expected = len(sources)
    await harness.wait_until(
        lambda: (
            len(admission.unauthenticated) + admission.unauthenticated.dropped + admission.refused["rate"]
            >= expected
        )
    )
    return sockets


async def assert_served(harness: Harness) -> None:
    client = await harness.connect()
    assert (await client.request("ping"))["status"] == "success"


@pytest_twisted.ensureDeferred
async def test_idle_connections_of_one_address_keep_no_other_client_out(tmp_path: Path) -> None:
    async with node(tmp_path) as harness:
        started = process_time()
        sockets = await connect_many(harness, ["127.0.0.9"] * 1200)
        assert process_time() - started < MAX_COST
        assert len(harness.websockets.server.admission.unauthenticated) == 100
        await assert_served(harness)
        for one in sockets:
            one.close()


@pytest_twisted.ensureDeferred
async def test_idle_connections_of_many_addresses_make_room_for_a_client(tmp_path: Path) -> None:
    async with node(tmp_path, max_unauthenticated=200) as harness:
        addresses = itertools.cycle(f"127.0.9.{number}" for number in range(1, 101))
        sockets = await connect_many(harness, [next(addresses) for _ in range(600)])
        assert len(harness.websockets.server.admission.unauthenticated) == 200
        await assert_served(harness)
        for one in sockets:
            one.close()


@pytest_twisted.ensureDeferred
async def test_a_flood_of_connections_is_accepted_in_small_portions(tmp_path: Path) -> None:
    async with node(tmp_path, endpoint="tcp:0:backlog=1024:interface=127.0.0.1") as harness:
        port: Any = harness.websockets._port
        unauthenticated = harness.websockets.server.admission.unauthenticated
        sockets = [RawSocket(harness.websockets.port, "127.0.0.9") for _ in range(900)]
        most = 0
        while len(unauthenticated) + unauthenticated.dropped < len(sockets):
            await deferLater(reactor, 0)
            most = max(most, port.numberAccepts)
        assert most <= factory.MAX_ACCEPTS + 20
        for one in sockets:
            one.close()


@pytest_twisted.ensureDeferred
async def test_sockets_without_a_token_are_bounded_by_address(tmp_path: Path) -> None:
    async with node(tmp_path, max_unauthenticated_per_ip=20) as harness:
        sockets = [await RawSocket(harness.websockets.port, "127.0.0.9").upgrade() for _ in range(40)]
        await harness.wait_until(lambda: len(harness.sessions) == 20)
        await assert_served(harness)
        for one in sockets:
            one.close()
        await harness.wait_until(lambda: harness.websockets.server.admission.connections.total == 1)


@pytest.mark.parametrize(
    ("first", "repeated"),
    [
        (b"", frame(PING)),
        (b"", frame(PING, b"x" * 125)),
        (b"", frame(PONG)),
        (frame(TEXT, b"{", fin=False), frame(CONTINUATION, fin=False)),
    ],
    ids=["pings", "long-pings", "pongs", "empty-fragments"],
)
@pytest_twisted.ensureDeferred
async def test_a_flood_of_frames_that_are_no_messages_closes_the_socket(
    first: bytes, repeated: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "LINGER_TIMEOUT", 0.2)
    async with node(tmp_path) as harness:
        attacker = await RawSocket(harness.websockets.port).upgrade()
        flood = memoryview(first + repeated * 300_000)
        started = process_time()
        while flood and not attacker.closed:
            flood = flood[attacker.send(flood) :]
            attacker.receive()
            await deferLater(reactor, 0)
        await attacker.receive_until(b"too many messages")
        await harness.wait_until(lambda: not harness.websockets.server.admission.connections.total)
        assert process_time() - started < MAX_COST
        assert b"\x11\x4dtoo many messages" in attacker.received  # 4429
        await assert_served(harness)
        attacker.close()


@pytest_twisted.ensureDeferred
async def test_pings_on_many_sockets_at_once_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with node(tmp_path) as harness:
        sockets = [await RawSocket(harness.websockets.port).upgrade() for _ in range(60)]
        message = json.dumps({"action": "ping", "auth_token": harness.tokens[RESELLER]})
        for one in sockets:
            await one.send_all(frame(TEXT, message.encode()))
        await harness.wait_until(lambda: not harness.websockets.server.admission.unauthenticated)
        frames = 0
        within_rate = Actions.within_rate

        def counted(actions: Actions, connection: Connection, payload: bytes | None) -> bool:
            nonlocal frames
            frames += 1
            return within_rate(actions, connection, payload)

        monkeypatch.setattr(Actions, "within_rate", counted)
        for one in sockets:
            one.send(frame(PING, b"x" * 10) * 250)
        most, before = 0, 0
        while frames < 250 * len(sockets):
            await deferLater(reactor, 0)
            most, before = max(most, frames - before), frames
        # Two portions: one at the beginning of an iteration of the reactor, one from its reads.
        assert (
            most <= 2 * (CLIENT_UNITS + UNITS_PER_READER) / protocol.UNITS_OF_PINGS * protocol.PINGS_AT_ONCE
        )
        assert harness.websockets.server.clients.delayed >= len(sockets) / 2
        await harness.wait_until(lambda: not len(harness.websockets.server.clients))
        await assert_served(harness)
        for one in sockets:
            one.close()


@pytest_twisted.ensureDeferred
async def test_made_up_tokens_of_one_address_are_looked_up_in_bounded_numbers(
    tmp_path: Path, no_refill: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with node(tmp_path) as harness:
        looked_up: list[str] = []
        directory: Any = harness.websockets.sessions._authorizer._directory
        authenticate = directory.authenticate

        def counted(token: str) -> Any:
            looked_up.append(token)
            return authenticate(token)

        monkeypatch.setattr(type(directory), "authenticate", lambda _, token: counted(token))
        attackers = [await RawSocket(harness.websockets.port, "127.0.0.9").upgrade() for _ in range(5)]
        for number, one in enumerate(attackers):
            tokens = [f"{number}-{count}" for count in range(60)]
            one.send(
                b"".join(frame(TEXT, b'{"action":"ping","auth_token":"%s"}' % t.encode()) for t in tokens)
            )
        for one in attackers:
            while one.received.count(b'"reply"') < 60:
                one.receive()
                await deferLater(reactor, 0)
        assert len(looked_up) <= BURST / FAILURE_COST
        assert all(b"rate limiting threshold hit" in one.received for one in attackers)
        await assert_served(harness)
        for one in attackers:
            one.close()


@pytest_twisted.ensureDeferred
async def test_handshakes_at_once_take_turns(tmp_path: Path) -> None:
    async with node(tmp_path) as harness:
        sockets = await connect_many(harness, [f"127.0.9.{number}" for number in range(1, 101)])
        for one in sockets:
            one.send(HANDSHAKE)
        most, before = 0, 0
        while len(harness.sessions) < len(sockets):
            await deferLater(reactor, 0)
            most, before = max(most, len(harness.sessions) - before), len(harness.sessions)
        assert most <= 2 * (NEWCOMER_UNITS + UNITS_PER_READER) / protocol.HANDSHAKE_UNITS
        for one in sockets:
            one.close()


@pytest_twisted.ensureDeferred
async def test_many_short_floods_of_one_address_are_bounded_together(tmp_path: Path, no_refill: None) -> None:
    async with node(tmp_path) as harness:
        budget = harness.websockets.server.admission.budget
        assert budget.take("127.0.0.9", BURST - 2 * HANDSHAKE_COST)
        attacker = RawSocket(harness.websockets.port, "127.0.0.9")
        await attacker.upgrade()
        await attacker.send_all(frame(TEXT, b'{"action": "ping"}') * 6)
        await attacker.receive_until(b"rate limiting threshold hit")
        await assert_served(harness)
        attacker.close()


@pytest_twisted.ensureDeferred
async def test_a_client_with_a_ping_a_second_is_not_disturbed(tmp_path: Path) -> None:
    async with node(tmp_path, rate_per_second=10, rate_burst=20) as harness:
        client = await harness.connect()
        await client.request("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
        for _ in range(15):
            client.protocol.sendPing(b"x")
        await harness.publish_call(RESELLER)
        assert (await client.event())["name"] == "CHANNEL_CREATE"
        assert not client.closed.called


@pytest_twisted.ensureDeferred
async def test_a_message_too_large_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "LINGER_TIMEOUT", 0.2)
    async with node(tmp_path, max_message_bytes=4096) as harness:
        attacker = await RawSocket(harness.websockets.port).upgrade()
        (session,) = harness.sessions
        output: Any = session.output
        traffic = output.send_buffer._transport.protocol.trafficStats
        started = process_time()
        await attacker.send_all(b"\x81\xff" + (1 << 40).to_bytes(8, "big") + bytes(4) + bytes(20_000_000))
        await harness.wait_until(lambda: not harness.websockets.server.admission.connections.total)
        assert process_time() - started < MAX_COST
        assert traffic.incomingOctetsWireLevel < 200_000
        attacker.close()


class TestClientsThatStay:
    """Clients that keep TCP open after the end of the websocket."""

    @pytest.fixture(autouse=True)
    def _short_timeout(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert protocol.CLOSE_TIMEOUT + protocol.LINGER_TIMEOUT < 15
        monkeypatch.setattr(protocol, "CLOSE_TIMEOUT", 0.3)

    async def subscribed(self, harness: Harness) -> RawSocket:
        """A client that subscribes, and then reads nothing while more is sent than the system buffers."""
        client = await RawSocket(harness.websockets.port, receive_buffer=4096).upgrade()
        message = (
            '{"action": "subscribe", "auth_token": "%s", "data": {"account_id": "%s", "binding": "call.*.*"}}'
        )
        await client.send_all(frame(TEXT, (message % (harness.tokens[RESELLER], RESELLER)).encode()))
        await client.receive_until(b'"success"')
        (session,) = harness.sessions
        output: Any = session.output
        while not output.send_buffer.paused:
            await harness.publish_call(RESELLER, Long="x" * 200_000)
            await deferLater(reactor, 0.02)
        return client

    async def assert_freed(self, harness: Harness) -> None:
        await harness.wait_until(lambda: not harness.websockets.server.admission.connections.total)
        assert harness.websockets.server.when_idle().called
        assert not harness.sessions

    @pytest_twisted.ensureDeferred
    async def test_after_its_own_close_frame(self, tmp_path: Path) -> None:
        async with node(tmp_path) as harness:
            client = await self.subscribed(harness)
            await client.send_all(frame(CLOSE))
            await harness.wait_until(lambda: not harness.sessions)
            await harness.publish_call(RESELLER, Long="x" * 200_000)
            await self.assert_freed(harness)
            client.close()

    @pytest_twisted.ensureDeferred
    async def test_after_the_servers_close_frame(self, tmp_path: Path) -> None:
        async with node(tmp_path) as harness:
            client = await self.subscribed(harness)
            sessions = harness.websockets.sessions
            sessions.end(harness.sessions[0], CloseCode.CLOSED_BY_OPERATOR, "closed")
            await self.assert_freed(harness)
            client.close()

    @pytest_twisted.ensureDeferred
    async def test_after_an_overflow(self, tmp_path: Path) -> None:
        async with node(tmp_path, max_dropped_events=2) as harness:
            client = await self.subscribed(harness)
            while harness.sessions:
                await harness.publish_call(RESELLER, Long="x" * 50_000)
                await deferLater(reactor, 0)
            await self.assert_freed(harness)
            assert harness.websockets.sessions.closed_by_code[1013] == 1
            client.close()

    @pytest_twisted.ensureDeferred
    async def test_when_the_service_stops(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("kazoo_bridge.websockets.service.CLOSE_TIMEOUT_ON_STOP", 0.2)
        monkeypatch.setattr(protocol, "CLOSE_TIMEOUT", 10)
        harness = await Harness.start(tmp_path)
        client = await self.subscribed(harness)
        idle = RawSocket(harness.websockets.port)
        await harness.wait_until(lambda: len(harness.websockets.server.admission.unauthenticated))
        await harness.stop()
        await self.assert_freed(harness)
        client.close()
        idle.close()


class TestTls:
    """Clients that answer nothing in TLS."""

    @staticmethod
    def endpoint(folder: Path) -> str:
        certificate, key = make_certificate(folder, "server")
        return f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}"

    @pytest_twisted.ensureDeferred
    async def test_idle_handshakes_are_bounded_by_address(self, tmp_path: Path) -> None:
        async with node(tmp_path, endpoint=self.endpoint(tmp_path), max_unauthenticated_per_ip=20) as harness:
            sockets = await connect_many(harness, ["127.0.0.9"] * 60)
            assert len(harness.websockets.server.admission.unauthenticated) == 20
            client = await RawSocket(harness.websockets.port).start_tls()
            await client.upgrade()
            for one in [*sockets, client]:
                one.close()

    @pytest_twisted.ensureDeferred
    async def test_handshakes_of_one_address_are_bounded_in_rate(
        self, tmp_path: Path, no_refill: None
    ) -> None:
        async with node(tmp_path, endpoint=self.endpoint(tmp_path)) as harness:
            admission = harness.websockets.server.admission
            assert admission.budget.take("127.0.0.9", BURST - HANDSHAKE_COST)
            permitted = await RawSocket(harness.websockets.port, "127.0.0.9").start_tls()
            excess = RawSocket(harness.websockets.port, "127.0.0.9")
            other = await RawSocket(harness.websockets.port).start_tls()
            await permitted.upgrade()
            await other.upgrade()
            await harness.wait_until(lambda: admission.refused["rate"])
            await harness.wait_until(lambda: len(admission.unauthenticated) == 2)
            for one in (permitted, excess, other):
                one.close()

    @pytest_twisted.ensureDeferred
    async def test_a_handshake_that_does_not_end_is_dropped(self, tmp_path: Path) -> None:
        async with node(tmp_path, endpoint=self.endpoint(tmp_path), handshake_timeout_s=1) as harness:
            silent = RawSocket(harness.websockets.port)
            secured = await RawSocket(harness.websockets.port).start_tls()
            unauthenticated = harness.websockets.server.admission.unauthenticated
            assert len(unauthenticated) == 2
            await harness.wait_until(lambda: not unauthenticated)
            silent.close()
            secured.close()

    @pytest.mark.parametrize("ending", ["close-frame", "refused", "malformed"])
    @pytest_twisted.ensureDeferred
    async def test_a_client_that_does_not_answer_the_end_of_tls_is_freed(
        self, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(protocol, "CLOSE_TIMEOUT", 0.3)
        async with node(tmp_path, endpoint=self.endpoint(tmp_path)) as harness:
            client = await RawSocket(harness.websockets.port).start_tls()
            if ending == "close-frame":
                await client.upgrade()
                await client.send_all(frame(CLOSE))
            elif ending == "refused":
                await client.send_all(HANDSHAKE.replace(b"Version: 13", b"Version: 99"))
            else:
                await client.upgrade()
                await client.send_all(b"\xff\xff" * 20)
            admission = harness.websockets.server.admission
            await harness.wait_until(
                lambda: not admission.connections.total and not admission.unauthenticated
            )
            client.close()
