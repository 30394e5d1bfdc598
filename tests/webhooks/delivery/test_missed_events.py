from __future__ import annotations

from attrs import evolve
from twisted.internet.task import Clock

from kazoo_bridge.webhooks.delivery.missed_events import DISABLED, UNDELIVERABLE, MissedEvents
from tests.webhooks.fakes import FakeMissedEventStore
from tests.webhooks.hook_factory import make_hook


def make_missed_events() -> tuple[Clock, FakeMissedEventStore, MissedEvents]:
    clock, store = Clock(), FakeMissedEventStore()
    missed = MissedEvents(clock, store)
    missed.startService()
    return clock, store, missed


def test_counts_are_written_together() -> None:
    clock, store, missed = make_missed_events()
    for _ in range(3):
        missed.count(make_hook("h1"), DISABLED)
    missed.count(make_hook("h2"), UNDELIVERABLE)
    assert not store.missed
    clock.advance(1)
    assert store.missed == {("h1", DISABLED): 3, ("h2", UNDELIVERABLE): 1}
    assert missed.totals == {DISABLED: 3, UNDELIVERABLE: 1}
    clock.advance(10)
    assert store.missed["h1", DISABLED] == 3


def test_a_storage_that_fails_loses_no_count() -> None:
    clock, store, missed = make_missed_events()
    store.down = True
    missed.count(make_hook("h1"), DISABLED)
    clock.advance(1)
    missed.count(make_hook("h1"), DISABLED)
    store.down = False
    clock.advance(1)
    clock.advance(1)
    assert store.missed == {("h1", DISABLED): 2}


def test_the_hook_of_an_event_has_no_stored_count() -> None:
    clock, store, missed = make_missed_events()
    missed.count(evolve(make_hook("callflow"), revision=""), UNDELIVERABLE)
    clock.advance(1)
    assert (store.missed, missed.totals) == ({}, {UNDELIVERABLE: 1})


def test_stopping_writes_what_is_counted() -> None:
    clock, store, missed = make_missed_events()
    missed.count(make_hook("h1"), DISABLED)
    missed.stopService()
    assert store.missed == {("h1", DISABLED): 1}
    assert clock.getDelayedCalls() == []
