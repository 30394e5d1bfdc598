from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest_twisted
from attrs import evolve
from twisted.internet import reactor as installed_reactor
from twisted.internet.task import Clock

from kazoo_bridge.bus.amqp.bus import AmqpBus
from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.bus.zones import ZonedBus
from kazoo_bridge.config import Amqp, Config, Couchdb, Webhooks
from kazoo_bridge.node.parts import make_bus, make_hook_source, make_retention
from kazoo_bridge.storage.couchdb_hooks.source import CouchHookSource
from kazoo_bridge.storage.database import Database

reactor: Any = installed_reactor


def test_the_configuration_chooses_the_bus() -> None:
    assert isinstance(make_bus(Clock(), evolve(Config(), amqp=Amqp(uri="embedded:"))), EmbeddedBus)
    assert isinstance(make_bus(Clock(), evolve(Config(), amqp=Amqp(uri="amqp://localhost"))), AmqpBus)
    zoned = make_bus(
        Clock(), evolve(Config(), amqp=Amqp("amqp://one", zones=("amqp://u:p@two,amqp://b", "amqp://c")))
    )
    assert isinstance(zoned, ZonedBus)
    assert zoned.degraded() == ["zone 1: the bus is not started", "zone 2: the bus is not started"]


@pytest_twisted.ensureDeferred
async def test_the_configuration_chooses_the_source_of_hooks(tmp_path: Path) -> None:
    database = Database(reactor, f"sqlite:///{tmp_path}/b.sqlite3")
    assert type(make_hook_source(Clock(), Config(), database, "n")) is not CouchHookSource
    config = evolve(Config(), webhooks=Webhooks(source="couchdb"), couchdb=Couchdb(uri="http://127.0.0.1:1"))
    source = make_hook_source(Clock(), config, database, "n")
    assert isinstance(source, CouchHookSource)
    await source.close()
    await database.close()


@pytest_twisted.ensureDeferred
async def test_everything_that_grows_is_removed_some_day(tmp_path: Path) -> None:
    database = Database(reactor, f"sqlite:///{tmp_path}/b.sqlite3")
    retention = make_retention(Clock(), Config(), database)
    assert set(retention.purged) == {
        "changes",
        "tokens",
        "attempts",
        "deliveries_waited_too_long",
        "deliveries_too_many_waiting",
        "dead_deliveries",
        "pivot_records",
    }
    await database.close()
