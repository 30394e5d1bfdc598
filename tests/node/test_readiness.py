from __future__ import annotations

from typing import Any, cast

import pytest
from attrs import define, field
from twisted.internet.task import Clock

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.interfaces import Queue, Topic
from kazoo_bridge.node.readiness import EMBEDDED, Readiness
from tests.deferreds import result_of


@define
class FakePart:
    """A database, a directory and a source of hooks."""

    reason: str | None = None
    checked: int = 0

    async def check(self, timeout: float) -> str | None:
        self.checked += 1
        return self.reason

    def problem(self) -> str | None:
        return self.reason

    def degraded(self) -> list[str]:
        return ["slow"]


@define
class Harness:
    bus: EmbeddedBus = field(factory=lambda: EmbeddedBus(Clock()))
    database: FakePart = field(factory=FakePart)
    directory: FakePart = field(factory=FakePart)
    hooks: FakePart = field(factory=FakePart)
    start_problem: str | None = None
    storage_problem: str | None = None
    readiness: Readiness = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.bus.startService()
        self.readiness = Readiness(
            self.bus,
            cast(Any, self.database),
            lambda: cast(Any, self.directory),
            cast(Any, self.hooks),
            lambda: self.start_problem,
            lambda: self.storage_problem,
        )

    def problems(self) -> list[str]:
        return result_of(self.readiness.problems())


def test_each_part_is_named_with_its_reason() -> None:
    harness = Harness(start_problem="the node is still starting")
    for name in ("database", "directory", "hooks"):
        getattr(harness, name).reason = f"{name} away"
    assert harness.problems() == [
        "bus: the node is still starting",
        "storage: database away",
        "directory: directory away",
        "hooks: hooks away",
    ]


def test_a_storage_that_is_waited_for_is_not_asked() -> None:
    harness = Harness(storage_problem="refused")
    assert harness.problems() == ["storage: refused"]
    assert harness.database.checked == 0


def test_a_missing_exchange_and_an_embedded_bus_are_degradations() -> None:
    harness = Harness()
    harness.bus.consume(
        Queue("q", frozenset((Topic("callevt", "call.#"), Topic("acdc", "x.#"), Topic("acdc", "y.#")))),
        lambda _: None,
    )
    assert harness.problems() == []
    embedded, *missing, directory = harness.readiness.degradations()
    assert (embedded, directory) == (f"bus: {EMBEDDED}", "directory: slow")
    assert [line.partition(": there is")[0] for line in missing] == [
        "bus: q is not bound to x.#",
        "bus: q is not bound to y.#",
    ]


@pytest.mark.parametrize("running", [True, False])
def test_the_bus_is_a_problem_until_it_runs(running: bool) -> None:
    harness = Harness()
    if not running:
        harness.bus.stopService()
    assert (harness.readiness.bus_problem() is None) is running
