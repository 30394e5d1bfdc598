from __future__ import annotations

from pathlib import Path

from attrs import evolve
from twisted.internet.task import Clock

from kazoo_bridge.config import Config, Couchdb, Webhooks
from kazoo_bridge.node.stores import make_hook_source, make_retention
from kazoo_bridge.storage.couchdb_hooks.source import CouchHookSource
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.hook_source import HookSource


def test_the_source_of_hooks_is_the_one_of_the_configuration(tmp_path: Path) -> None:
    clock = Clock()
    database = Database(clock, f"sqlite:///{tmp_path}/x.sqlite3")
    assert type(make_hook_source(clock, Config(), database, "node")) is HookSource
    config = evolve(Config(), webhooks=Webhooks(source="couchdb"), couchdb=Couchdb("http://u:p@couch:5984"))
    assert isinstance(make_hook_source(clock, config, database, "node"), CouchHookSource)


def test_everything_that_grows_is_removed_one_day(tmp_path: Path) -> None:
    clock = Clock()
    retention = make_retention(clock, Config(), Database(clock, f"sqlite:///{tmp_path}/x.sqlite3"))
    assert set(retention.purged) == {
        "changes",
        "tokens",
        "attempts",
        "deliveries_waited_too_long",
        "deliveries_too_many_waiting",
        "dead_deliveries",
    }
