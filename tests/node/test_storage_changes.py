from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred

from kazoo_bridge.node.storage_changes import StorageChanges
from kazoo_bridge.pivot.service import PivotService
from kazoo_bridge.storage.change_feed import ALL
from kazoo_bridge.webhooks.hooks.hook_service import HookService

SUBJECTS = frozenset({"a" * 32})


@define
class Harness:
    """Notes what is read again."""

    steps: list[Any] = field(factory=list)

    async def load(self) -> None:
        self.steps.append("load")

    async def reload(self, subjects: frozenset[str]) -> None:
        self.steps.append(("reload", subjects))

    @property
    def points_in_memory(self) -> Harness:
        return self

    def forget(self, subjects: frozenset[str] | None) -> None:
        self.steps.append(("forget", subjects))

    @contextmanager
    def loading(self) -> Iterator[None]:
        self.steps.append("begin")
        yield
        self.steps.append("end")


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        ("hook", [("reload", SUBJECTS)]),
        ("pivot", [("forget", SUBJECTS)]),
        (ALL, [("forget", None), "begin", "load", "end"]),
        ("token", []),
    ],
)
def test_only_what_has_changed_is_read_again(kind: str, steps: list[Any]) -> None:
    harness = Harness()
    changes = StorageChanges(cast(HookService, harness), cast(PivotService, harness), harness.loading)
    reading = changes.apply(kind, SUBJECTS)
    assert harness.steps == steps
    assert reading is None or (isinstance(reading, Deferred) and reading.called)
