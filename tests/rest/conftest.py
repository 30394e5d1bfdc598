from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from kazoo_bridge.config import Config, Egress, Http, Storage, Webhooks, Websockets
from kazoo_bridge.node.node import Node
from tests.rest.rest_client import ACCOUNT, CHILD, STRANGER, Client


@pytest.fixture
def http() -> Http:
    """How REST is served; tests of its limits have a fixture of their own in its place."""
    return Http("tcp:0:interface=127.0.0.1")


@pytest.fixture
def webhooks() -> Webhooks:
    """The same for webhooks."""
    return Webhooks()


@pytest_twisted.async_yield_fixture
async def rest(tmp_path: Path, http: Http, webhooks: Webhooks) -> AsyncIterator[Client]:
    config = evolve(
        Config(),
        storage=Storage(f"sqlite:///{tmp_path}/b.sqlite3"),
        http=http,
        websockets=Websockets("tcp:0:interface=127.0.0.1"),
        webhooks=webhooks,
        egress=evolve(Egress(), allowed_networks=("127.0.0.0/8",)),
    )
    bridge = Node.from_config(reactor, config)
    await bridge.start()
    await bridge.accounts.create(ACCOUNT)
    await bridge.accounts.create(CHILD, parent_id=ACCOUNT)
    await bridge.accounts.create(STRANGER)
    await bridge.directory.load()
    client = Client(bridge)
    client.token = (await bridge.tokens.create(ACCOUNT)).token
    yield client
    await bridge.stop(Deferred())
