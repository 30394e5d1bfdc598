"""Thousands of subscriptions over a real broker: all hear their events, and others do not wait."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted
from attrs import define
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from kazoo_bridge.bus.amqp import AmqpBus
from kazoo_bridge.config import Websockets
from kazoo_bridge.interfaces import Principal
from kazoo_bridge.kazoo import account_db
from kazoo_bridge.plugins.discovery import find_categories
from kazoo_bridge.websockets.sessions.authorization import Authorizer
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.sessions.session_registry import SessionLimits, SessionRegistry
from kazoo_bridge.websockets.subscriptions import bind_queue
from kazoo_bridge.websockets.subscriptions.binding_catalogue import BindingCatalogue
from kazoo_bridge.websockets.subscriptions.fanout import EventFanout
from kazoo_bridge.websockets.subscriptions.subscription_budget import SubscriptionBudget
from kazoo_bridge.websockets.subscriptions.subscription_index import MAX_ACCOUNT_TOPICS, SubscriptionIndex
from kazoo_bridge.websockets.subscriptions.subscriptions import Subscriptions
from tests.integration.amqp_harness import is_available, running_bus, until
from tests.websockets.fakes import FakeDirectory, FakeOutput

ACCOUNTS = [f"{number:032x}" for number in range(5000)]


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the broker's answers wait while thousands subscribe in one turn of the reactor."""
    monkeypatch.setattr(bind_queue, "ANSWER_TIMEOUT", 60.0)


@define
class Parts:
    """Sessions and subscriptions over a bus."""

    bus: AmqpBus
    directory: FakeDirectory
    fanout: EventFanout
    subscriptions: Subscriptions
    registry: SessionRegistry

    def connect(self, account_id: str) -> tuple[Session, FakeOutput]:
        session, output = self.registry.open("local", 0), FakeOutput()
        session.connect(output)
        session.authenticate(account_id, self.directory.tokens[account_id])
        return session, output

    def subscribe(self, session: Session, bindings: Sequence[str]) -> Deferred[None]:
        account_id = session.account_id or ""
        return Deferred.fromCoroutine(self.subscriptions.subscribe(session, account_id, bindings))


@asynccontextmanager
async def running_parts(uri: str, max_subscriptions: int = 1000) -> AsyncIterator[Parts]:
    directory = FakeDirectory()
    for account_id in ACCOUNTS:
        directory.parents[account_id] = None
        directory.tokens[account_id] = Principal(account_id)
    its_directory: Any = directory
    async with running_bus(uri) as bus:
        fanout = EventFanout(reactor, bus, SubscriptionIndex[Session]())
        fanout.start()
        subscriptions = Subscriptions(
            reactor,
            its_directory,
            BindingCatalogue.from_categories(find_categories()),
            fanout,
            max_subscriptions,
            SubscriptionBudget(reactor, Websockets().max_subscriptions_per_account),
        )
        limits = SessionLimits.from_config(Websockets())
        registry = SessionRegistry(reactor, "h", limits, Authorizer(reactor, its_directory), subscriptions)
        await until(is_available(bus), "the bus")
        try:
            yield Parts(bus, directory, fanout, subscriptions, registry)
        finally:
            for session in registry:
                registry.end(session)
            subscriptions.stop()
            await fanout.stop()


@pytest.mark.timeout(120)
@pytest_twisted.ensureDeferred
async def test_five_thousand_accounts_hear_of_their_objects(vhost_uri: str) -> None:
    async with running_parts(vhost_uri) as its:
        clients = [its.connect(account_id) for account_id in ACCOUNTS]
        await gatherResults([its.subscribe(session, ["object.*.*"]) for session, _ in clients])
        assert len(its.fanout.index.topics) <= MAX_ACCOUNT_TOPICS + 1
        for account_id in ACCOUNTS:
            body = {"Event-Category": "configuration", "Event-Name": "doc_edited"}
            await its.bus.publish("configuration", f"doc_edited.{account_db(account_id)}.user.u1", body)
        await until(lambda: all(output.events for _, output in clients), "all to hear")
        assert all(len(output.events) == 1 for _, output in clients)


@pytest.mark.timeout(120)
@pytest_twisted.ensureDeferred
async def test_a_socket_with_ten_thousand_bindings_delays_no_other(vhost_uri: str) -> None:
    async with running_parts(vhost_uri, 10_000) as its:
        (big, heard), (other, _) = its.connect(ACCOUNTS[0]), its.connect(ACCOUNTS[1])
        many = [f"call.CHANNEL_CREATE.c{number}" for number in range(10_000)]
        subscribing = [its.subscribe(big, many[start : start + 1000]) for start in range(0, 10_000, 1000)]
        await its.subscribe(other, ["fax.status.*"])
        assert not all(one.called for one in subscribing)
        await gatherResults(subscribing)
        assert big.subscription_count == 10_000
        variables = {"Account-ID": ACCOUNTS[0]}
        body = {
            "Event-Category": "call_event",
            "Event-Name": "CHANNEL_CREATE",
            "Custom-Channel-Vars": variables,
        }
        for number in (0, 9_999):
            await its.bus.publish("callevt", f"call.CHANNEL_CREATE.c{number}", body)
        await until(lambda: len(heard.events) == 2, "both events")


@pytest.mark.timeout(120)
@pytest_twisted.ensureDeferred
async def test_five_hundred_sockets_subscribe_at_once(vhost_uri: str) -> None:
    kinds = ["object.doc_edited.user", "fax.status.*", "conference.event.*.*", "call.*.*"]
    async with running_parts(vhost_uri) as its:
        clients = [its.connect(account_id) for account_id in ACCOUNTS[:500]]
        await gatherResults([its.subscribe(session, kinds) for session, _ in clients])
        for account_id in ACCOUNTS[:500]:
            await its.bus.publish("faxes", f"fax.status.{account_id}.f1", {"Event-Name": "status"})
        await until(lambda: all(output.events for _, output in clients), "all to hear")
        assert all(len(output.events) == 1 for _, output in clients)
