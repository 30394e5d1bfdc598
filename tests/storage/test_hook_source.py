from __future__ import annotations

from typing import Any, cast

from prometheus_client import CollectorRegistry

from kazoo_bridge.interfaces import IAttemptStore, IHookStore
from kazoo_bridge.storage.hook_source import HookSource
from tests.directory.couchdb.harness import result_of
from tests.webhooks.fakes import FakeAttemptStore, FakeHookStore


def test_the_own_storage_needs_no_following() -> None:
    source = HookSource(cast(IHookStore, FakeHookStore()), cast(IAttemptStore, FakeAttemptStore()))
    calls: list[Any] = []

    async def load() -> None:
        calls.append("load")

    async def reload(hook_ids: Any) -> None:
        calls.append(hook_ids)

    source.connect(load, reload, lambda: calls.append("loaded"))
    result_of(source.load())
    assert (calls, source.running) == (["load"], 0)
    source.startService()
    assert (calls, source.problem()) == (["load", "loaded"], None)
    source.register_metrics(CollectorRegistry())
    result_of(source.stopService())
    result_of(source.close())
    assert not source.running
