from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from kazoo_bridge.config import Config, Egress, Http, Storage
from kazoo_bridge.service import Bridge
from tests.rest.rest_client import ACCOUNT, CHILD, STRANGER, Client


@pytest_twisted.async_yield_fixture
async def rest(tmp_path: Path) -> AsyncIterator[Client]:
    config = evolve(
        Config(),
        storage=Storage(f"sqlite:///{tmp_path}/b.sqlite3"),
        http=Http("tcp:0:interface=127.0.0.1"),
        egress=evolve(Egress(), allowed_networks=("127.0.0.0/8",)),
    )
    bridge = Bridge.of(reactor, config)
    await bridge.start()
    await bridge.accounts.create(ACCOUNT)
    await bridge.accounts.create(CHILD, parent_id=ACCOUNT)
    await bridge.accounts.create(STRANGER)
    await bridge.directory.load()
    client = Client(bridge)
    client.token = (await bridge.tokens.create(ACCOUNT)).token
    yield client
    await bridge.stop(Deferred())
