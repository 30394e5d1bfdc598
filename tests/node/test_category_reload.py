from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs, formatEvent

from kazoo_bridge.config import Plugins
from kazoo_bridge.interfaces import BusUnavailable, StorageUnavailable
from kazoo_bridge.node.category_reload import CategoryReloader
from kazoo_bridge.node.node import Node
from kazoo_bridge.webhooks.hooks.hook_document import InvalidDocument
from tests.node.harness import make_config, make_node
from tests.plugins.conftest import folder  # noqa: F401 - a fixture
from tests.rest.harness import ACCOUNT, RestHarness, running_node, until

GOOD = Path("etc/examples/queue_category.py").read_text()
HOOK = {"name": "n", "uri": "http://127.0.0.1:9/", "hook": "queue_entered", "retries": 0}
EVENT = {
    "Event-Category": "acdc_queue",
    "Event-Name": "ENTERED",
    "Account-ID": ACCOUNT,
    "Call-ID": "c1",
    "Queue-ID": "q1",
}


@pytest_twisted.async_yield_fixture
async def rest(folder: Path, tmp_path: Path) -> AsyncIterator[RestHarness]:  # noqa: F811 - see above
    """A node whose folder of plugins has a category with another name and other hooks."""
    other = GOOD.replace('name = "queue"', 'name = "line"').replace("queue_", "line_")
    other = other.replace("queue.", "line.").replace("acdc_line", "acdc_other")
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "kb_reload_line.py").write_text(other)
    storage = tmp_path / "storage"
    storage.mkdir()
    async with running_node(evolve(make_config(storage), plugins=Plugins(str(plugins)))) as harness:
        yield harness


@pytest.fixture
def plugins(folder: Path) -> Path:  # noqa: F811 - see above
    return folder / "plugins"


async def reload(reloader: CategoryReloader) -> list[str]:
    """Reload; returns the lines of the log, without those about hooks."""
    with capturedLogs() as logs:
        await reloader.reload()
    lines = [f"{event['log_level'].name}: {formatEvent(event)}" for event in logs]
    return [line for line in lines if "hooks loaded" not in line]


async def receive(node: Node) -> int:
    """Publish an event of the category; returns how many events have matched a hook."""
    await node.bus.publish("callevt", f"acdc.queue.ENTERED.{ACCOUNT}", EVENT)
    handled = node.webhooks.event_handler.events

    async def is_handled() -> bool:
        return handled["callevt"] > 0

    await until(is_handled)
    return node.webhooks.event_handler.matched


@pytest_twisted.ensureDeferred
async def test_a_new_category_works_without_a_restart(rest: RestHarness, plugins: Path) -> None:
    node = rest.node
    reloader = CategoryReloader(node)
    assert await reload(reloader) == []
    with pytest.raises(InvalidDocument):
        await node.webhooks.hooks.create(ACCOUNT, HOOK)
    (plugins / "kb_reload_queue.py").write_text(GOOD)
    assert await reload(reloader) == [
        "info: event category added category=queue hooks=queue_entered, queue_left"
    ]
    assert await reload(reloader) == []
    hook = await node.webhooks.hooks.create(ACCOUNT, HOOK)
    assert await receive(node) == 1
    assert hook.document["hook"] == "queue_entered"
    assert node.webhooks.event_handler.events_by_category["queue"] == 1
    # Everything else that shows categories has it, too.
    listed = [one["id"] for one in await rest.get_data("/v2/webhooks")]
    assert {"queue_entered", "line_entered"} <= set(listed)
    assert "queue" in await rest.get_data("/v2/websockets")
    document = (await rest("GET", "/openapi.json", token="")).json_body
    assert "queue_entered" in str(document["components"]["schemas"])
    assert "queue" in [category.name for category in node.websockets.catalogue.categories]


@pytest_twisted.ensureDeferred
async def test_what_is_changed_or_removed_needs_a_restart(rest: RestHarness, plugins: Path) -> None:
    reloader = CategoryReloader(rest.node)
    file = plugins / "kb_reload_line.py"
    text = file.read_text()
    file.write_text(text + "\n# changed\n")
    changed = f"warn: event category file has changed and needs a restart file={file}"
    assert await reload(reloader) == [changed]
    assert await reload(reloader) == [changed]  # until it happens
    file.write_text(text)
    assert await reload(reloader) == []
    file.unlink()
    assert await reload(reloader) == [
        f"warn: event category file was removed and needs a restart file={file}"
    ]
    assert "line" in [category.name for category in rest.node.categories]


@pytest_twisted.ensureDeferred
async def test_a_file_that_was_mended_is_added(rest: RestHarness, plugins: Path) -> None:
    file = plugins / "kb_reload_broken.py"
    file.write_text("import no_such_module_at_all\n")
    reloader = CategoryReloader(rest.node)
    (line,) = await reload(reloader)
    assert f"event category file left out file={file}" in line
    file.write_text(GOOD)
    assert await reload(reloader) == [
        "info: event category added category=queue hooks=queue_entered, queue_left"
    ]
    file.write_text(GOOD + "\n# changed\n")
    assert await reload(reloader) == [
        f"warn: event category file has changed and needs a restart file={file}"
    ]


@pytest_twisted.ensureDeferred
async def test_a_category_that_clashes_is_left_out(rest: RestHarness, plugins: Path) -> None:
    reloader = CategoryReloader(rest.node)
    (plugins / "kb_reload_clash.py").write_text(GOOD.replace('name = "queue"', 'name = "line"'))
    (line,) = await reload(reloader)
    assert line.endswith("another category is already named 'line'")
    assert len([one for one in rest.node.categories if one.name == "line"]) == 1


@pytest_twisted.ensureDeferred
async def test_what_could_not_be_finished_is_at_the_next_reload(
    rest: RestHarness, plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = rest.node
    reloader = CategoryReloader(node)
    (plugins / "kb_reload_queue.py").write_text(GOOD)

    def unavailable(_after: int, _count: int) -> Deferred[Any]:
        return fail(StorageUnavailable("locked"))

    with monkeypatch.context() as storage_away:
        storage_away.setattr(node.hook_source.hooks, "batch", unavailable)
        _, line = await reload(reloader)
    assert line.endswith("hooks of new event categories cannot be loaded, reload again later reason=locked")

    consumer: Any = node.webhooks._consumer
    bind = consumer.bind

    def refuse(topic: Any) -> Deferred[None]:
        return (
            fail(BusUnavailable("no"))
            if "LEFT" in topic.pattern and "queue" in topic.pattern
            else bind(topic)
        )

    with monkeypatch.context() as broker_refuses:
        broker_refuses.setattr(type(consumer), "bind", lambda _self, topic: refuse(topic))
        assert await reload(reloader) == [
            "error: topic of an event category refused, reload again later reason=no"
        ]
    await node.webhooks.hooks.create(ACCOUNT, HOOK)
    assert await receive(node) == 1
    assert await reload(reloader) == []


@pytest_twisted.ensureDeferred
async def test_a_node_that_does_not_run_yet_says_so(tmp_path: Path) -> None:
    node = make_node(tmp_path)
    (line,) = await reload(CategoryReloader(node))
    assert line.startswith("warn: event categories cannot be reloaded while the node starts")
    await node.close()


@pytest_twisted.ensureDeferred
async def test_a_defect_is_logged(rest: RestHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_oddly(_present: Any) -> None:
        raise KeyError("odd")

    monkeypatch.setattr("kazoo_bridge.node.category_reload.find_new_categories", fail_oddly)
    assert await reload(CategoryReloader(rest.node)) == ["critical: categories cannot be reloaded"]
