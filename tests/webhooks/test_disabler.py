"""When failing hooks are looked for."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.webhooks.attempts.auto_disabler import AutoDisabler

ACCOUNT = "a" * 32


@define
class Limits:
    shortest: int | None = None
    down: bool = False

    def shortest_expiry_ms(self) -> Deferred[int | None]:
        return fail(StorageUnavailable("down")) if self.down else succeed(self.shortest)


@define
class World:
    """The parts that the disabler uses; `over` is what is over its limit, `looks` when it asked."""

    clock: Clock = field(factory=Clock)
    over: list[tuple[str, str, str]] = field(factory=list)
    looks: list[float] = field(factory=list)
    told: list[Any] = field(factory=list)

    def hooks_over_failure_limit(
        self, now: float, count: int, window: float
    ) -> Deferred[list[tuple[str, str, str]]]:
        self.looks.append(now)
        assert (count, window) == (6, 60.0)
        return succeed(self.over)

    def flush(self) -> Deferred[None]:
        return succeed(None)

    async def disable(self, account_id: str, hook_id: str, revision: str, reason: str) -> bool:
        self.over = []
        return True

    def publish(self, exchange: str, routing_key: str, body: Any) -> Deferred[None]:
        self.told.append((routing_key, body["Account-ID"], body["Hook-ID"]))
        return succeed(None)


def started(limits: Limits) -> tuple[World, AutoDisabler]:
    world = World()
    parts: Any = world
    disabler = AutoDisabler(world.clock, parts, limits, parts, parts, parts, 6, 60.0)  # type: ignore[arg-type]
    disabler.startService()
    return world, disabler


def pump(world: World, seconds: int) -> None:
    for _ in range(seconds * 4):
        world.clock.advance(0.25)


@pytest.mark.parametrize(
    ("shortest", "every"),
    [
        (None, [15.0, 30.0, 45.0]),
        (200_000, [15.0, 30.0, 45.0]),
        (20_000, [15.0, 20.0, 25.0]),
        (1, [15.0, 16.0, 17.0]),
    ],
)
def test_it_looks_every_quarter_of_the_shortest_window(shortest: int | None, every: list[float]) -> None:
    world, disabler = started(Limits(shortest))
    pump(world, 46)
    assert world.looks[:3] == every
    disabler.stopService()
    assert world.clock.getDelayedCalls() == []


def test_it_goes_on_while_the_storage_does_not_answer() -> None:
    limits = Limits(down=True)
    world, disabler = started(limits)
    world.over = [(ACCOUNT, "h", "1-x")]
    with capturedLogs() as logs:
        pump(world, 31)
    assert world.looks == [15.0, 30.0]
    assert world.told == [("notifications.webhook.disabled", ACCOUNT, "h")]
    assert len(logs) == 3  # the hook is disabled, and two looks had no answer
    disabler.stopService()
