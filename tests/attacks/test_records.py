"""Records of what happened, and rights that have ended."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import sqlalchemy as sa
from sqlalchemy import Connection
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from kazoo_bridge.interfaces import Principal
from kazoo_bridge.node.node import Node
from kazoo_bridge.storage import change_log, tables
from tests.websockets.fakes import PARENT, PartsHarness
from tests.websockets.harness import CHILD, RESELLER, STRANGER, Harness
from tests.websockets.stream_client import StreamClient

pytestmark = pytest.mark.timeout(30)

#: Seconds within which rights end on open sockets.
RIGHTS_TIMEOUT = 1.0


@pytest_twisted.async_yield_fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    """A node with default settings."""
    started = await Harness.start(tmp_path)
    yield started
    await started.stop()


async def events_until(harness: Harness, stopped: Any, account: str) -> float:
    """Publish calls of the account until `stopped()` is true; returns after how many seconds that was."""
    began = reactor.seconds()
    number = 0
    while not stopped():
        number += 1
        await harness.publish_call(account, call_id=f"c{number}")
        await deferLater(reactor, 0.02)
        assert reactor.seconds() < began + 10
    return reactor.seconds() - began


async def move(node: Node, account_id: str, parent_id: str) -> None:
    """Move an account below another, as another process would."""

    def write(connection: Connection) -> None:
        moved = sa.update(tables.accounts).where(tables.accounts.c.id == account_id)
        connection.execute(moved.values(parent_id=parent_id))
        change_log.record(connection, "account", [account_id], reactor.seconds())

    await node.database.write(write)


class TestRightsEnd:
    @pytest_twisted.ensureDeferred
    async def test_a_revoked_token_receives_nothing_after_a_second(self, harness: Harness) -> None:
        client = await harness.connect()
        await client.request("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
        stream = await StreamClient().open(harness)
        await harness.node.tokens.revoke(harness.tokens[RESELLER])
        took = await events_until(harness, lambda: client.closed.called and stream.ended.called, RESELLER)
        assert took < RIGHTS_TIMEOUT
        assert not harness.sessions

    @pytest_twisted.ensureDeferred
    async def test_a_token_that_expires_receives_nothing_after_a_second(self, harness: Harness) -> None:
        harness.tokens[RESELLER] = (await harness.node.tokens.create(RESELLER, ttl=0.3)).token
        client = await harness.connect()
        await client.request("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
        await deferLater(reactor, 0.3)
        took = await events_until(harness, lambda: client.closed.called, RESELLER)
        assert took < RIGHTS_TIMEOUT + 0.2

    @pytest_twisted.ensureDeferred
    async def test_the_events_of_an_account_that_moves_end_within_a_second(self, harness: Harness) -> None:
        client = await harness.connect()
        await client.request("subscribe", {"account_id": CHILD, "binding": "call.*.*"})
        (session,) = harness.sessions
        await move(harness.node, CHILD, STRANGER)
        took = await events_until(harness, lambda: not session.subscriptions, CHILD)
        assert took < RIGHTS_TIMEOUT
        assert (await client.notice())["data"]["errors"] == ["unauthorized account id"]


class TestManySockets:
    def make_sessions(self, count: int) -> PartsHarness:
        its = PartsHarness()
        for port in range(count):
            session, _ = its.connect(PARENT, port)
            session.token = f"token {port}"
            its.directory.tokens[session.token] = Principal(PARENT)
        its.registry.startService()
        return its

    def test_ten_thousand_sockets_are_checked_cheaply(self) -> None:
        its = self.make_sessions(10_000)
        its.directory.asked.clear()
        began = time.process_time()
        its.clock.pump([1.0] * 3)
        assert time.process_time() - began < 1.5
        assert its.directory.asked.count("authenticate") == 10_000
        assert len(its.registry) == 10_000

    def test_tokens_that_are_not_in_memory_cost_a_bounded_number_of_queries(self) -> None:
        its = self.make_sessions(1000)
        queries: list[Deferred[Principal | None]] = []

        def authenticate(token: str) -> Deferred[Principal | None]:
            queries.append(Deferred())
            its.clock.callLater(0, queries[-1].callback, Principal(PARENT))
            return queries[-1]

        its.directory.authenticate = authenticate  # type: ignore[method-assign]
        its.registry.check_rights()
        its.clock.pump([0.001] * 500)
        assert len(queries) == 100
        its.clock.pump([0.6] + [0.001] * 300)
        assert len(queries) == 200
