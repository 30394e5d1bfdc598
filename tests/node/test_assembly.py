from __future__ import annotations

from pathlib import Path

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kazoo_bridge.config import Config, ConfigError, NodeSection
from kazoo_bridge.interfaces import Queue, Topic
from kazoo_bridge.node import assembly
from kazoo_bridge.node.assembly import build_node
from tests.node.harness import make_config, make_node


def test_a_storage_uri_that_cannot_be_used_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(reactor: object, uri: str, **_: object) -> None:
        raise ValueError(f"no driver for {uri}")

    monkeypatch.setattr(assembly, "Database", refuse)
    with pytest.raises(ConfigError) as error:
        build_node(Clock(), Config())
    assert list(error.value.errors) == ["storage.uri: no driver for sqlite:///kazoo-bridge.sqlite3"]


def test_the_bus_has_the_exchanges_of_the_categories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Category:
        name, hooks, exchanges = "agent", (), {"acdc": "topic"}

    monkeypatch.setattr(assembly, "find_categories", lambda _path: [Category()])
    bound: list[object] = []
    consumer = make_node(tmp_path).bus.consume(Queue(), lambda _event: None)
    for exchange in ("acdc", "nowhere"):
        consumer.bind(Topic(exchange, "agent.*")).addBoth(bound.append)
    assert bound[0] is None
    assert "there is no exchange 'nowhere'" in str(bound[1])


def test_a_worker_has_a_name_of_its_own(tmp_path: Path) -> None:
    config = evolve(make_config(tmp_path), node=NodeSection(name="bridge"))
    node, worker = build_node(Clock(), config), build_node(Clock(), config, worker=2)
    assert (node.name, node.is_worker) == ("bridge", False)
    assert (worker.name, worker.is_worker) == ("bridge-2", True)


@pytest_twisted.ensureDeferred
async def test_a_worker_consumes_once_it_knows_what_has_changed_since_it_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = build_node(reactor, make_config(tmp_path), worker=2)
    mark = worker.change_feed.mark
    order: list[str] = []

    async def mark_then_write() -> int:
        position = await mark()
        await worker.hook_source.hooks.create("a" * 32, {})
        return position

    monkeypatch.setattr(worker.change_feed, "mark", mark_then_write)
    monkeypatch.setattr(worker.bus, "startService", lambda: order.append("bus"))
    worker.change_feed.subscribe(lambda kind, _subjects: order.append(kind))
    try:
        await worker.start()
        assert order == ["hook", "bus"]
    finally:
        await worker.stop(Deferred())
