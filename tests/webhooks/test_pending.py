"""The order of what is kept, while the storage refuses some of it."""

from __future__ import annotations

from typing import Any

from kazoo_bridge.interfaces import StorageUnavailable
from tests.webhooks.stage import Stage, ended, scripted


def kept(stage: Stage) -> list[str]:
    return [row.delivery.event_id for row in stage.deliveries.rows.values()]


def keep(stage: Stage, event_id: str, call_id: str = "1") -> list[Any]:
    hook = stage.registry.get("h1") or stage.hook(ordered=True)
    return ended(
        stage.pending.enqueue(stage.delivery(hook, event_id, call_id=call_id), 0, "its turn has to come")
    )


def test_after_one_that_was_refused_the_others_of_its_call_wait_for_it() -> None:
    _, stage = scripted(started=False)
    stage.deliveries.down = True
    first = keep(stage, "e1")
    stage.clock.advance(0.02)
    stage.deliveries.down = False
    second, other = keep(stage, "e2"), keep(stage, "o1", "2")
    stage.clock.advance(0.02)
    assert first[0].check(StorageUnavailable)
    assert second[0].check(StorageUnavailable)
    assert (other, kept(stage)) == ([None], ["o1"])
    # The broker hands them out again.
    for name in ("e2", "e1", "e2", "e3"):
        keep(stage, name)
    stage.clock.advance(0.02)
    assert kept(stage) == ["o1", "e1"]
    for name in ("e2", "e3"):
        keep(stage, name)
        stage.clock.advance(0.02)
    assert kept(stage) == ["o1", "e1", "e2", "e3"]


def test_nor_are_those_written_that_were_about_to_be() -> None:
    _, stage = scripted(started=False)
    stage.deliveries.down = True
    answers: list[list[Any]] = []

    def while_writing(result: Any) -> Any:
        answers.append(keep(stage, "e2"))
        stage.deliveries.down = False
        return result

    store_keep = type(stage.deliveries).enqueue
    try:
        type(stage.deliveries).enqueue = lambda self, waiting: while_writing(store_keep(self, waiting))  # type: ignore[method-assign]
        answers.append(keep(stage, "e1"))
        stage.clock.advance(0.02)
    finally:
        type(stage.deliveries).enqueue = store_keep  # type: ignore[method-assign]
    stage.clock.advance(0.02)
    assert [one[0].check(StorageUnavailable) for one in answers] == [StorageUnavailable] * 2
    assert kept(stage) == []


def test_one_that_does_not_come_back_is_not_waited_for_without_end() -> None:
    _, stage = scripted(started=False)
    stage.deliveries.down = True
    keep(stage, "e1")
    stage.clock.advance(0.02)
    stage.deliveries.down = False
    stage.clock.advance(61)
    assert keep(stage, "e2") == []
    stage.clock.advance(0.02)
    assert kept(stage) == ["e2"]
