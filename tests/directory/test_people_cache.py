from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from kazoo_bridge.directory import people_cache
from kazoo_bridge.directory.people_cache import (
    KNOWN_TTL,
    MAX_READING,
    MIN_READ_INTERVAL,
    PEOPLE_TOPICS,
    PeopleCache,
)
from kazoo_bridge.interfaces import People, StorageUnavailable, User
from kazoo_bridge.kazoo import account_db
from tests.directory.couchdb.harness import error_of, result_of

A, B = "a" * 32, "b" * 32


class Harness:
    """A cache over a source that answers with one user, whose name counts the reads."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.asked: list[str] = []
        self.away = False
        self.held: Deferred[None] | None = None
        self.users = 1
        self.cache = PeopleCache(self.clock, self.read, usable=1000)

    async def read(self, account_id: str) -> People:
        self.asked.append(account_id)
        name = str(len(self.asked))
        if self.held is not None:
            await self.held
        await (fail(StorageUnavailable("away")) if self.away else succeed(None))
        return People({f"{at}": User(f"{at}", name) for at in range(self.users)})

    def name(self, account_id: str = A) -> str:
        return result_of(self.cache.get(account_id)).users["0"].first_name


@pytest.fixture
def harness() -> Harness:
    return Harness()


def test_people_are_read_once_until_they_are_old(harness: Harness) -> None:
    assert (harness.name(), harness.name(), harness.name(B)) == ("1", "1", "2")
    harness.clock.advance(KNOWN_TTL - 0.1)
    assert harness.name() == "1"
    harness.clock.advance(0.1)
    assert harness.name() == "3"
    assert harness.asked == [A, B, A]


def test_a_change_is_read_but_not_more_often_than_the_interval(harness: Harness) -> None:
    harness.name()
    harness.cache.document_changed(account_db(A))
    assert harness.name() == "1"
    harness.clock.advance(MIN_READ_INTERVAL)
    assert harness.name() == "2"
    for database in (account_db(B), "accounts", None, 5):
        harness.cache.document_changed(database)
    harness.clock.advance(MIN_READ_INTERVAL)
    assert harness.name() == "2"
    harness.cache.mark_all_changed()
    assert harness.name() == "3"


def test_those_who_ask_at_once_share_a_read_and_may_leave(harness: Harness) -> None:
    harness.held = Deferred()
    waiting: list[Deferred[People]] = [harness.cache.get(A) for _ in range(3)]
    waiting[1].addErrback(lambda _: None).cancel()
    held, harness.held = harness.held, None
    held.callback(None)
    assert [result_of(one) is not None for one in (waiting[0], waiting[2])] == [True, True]
    assert harness.asked == [A]


def test_a_change_while_it_is_read_is_read_again(harness: Harness) -> None:
    harness.held = Deferred()
    first = harness.cache.get(A)
    harness.cache.account_changed(A)
    held, harness.held = harness.held, None
    held.callback(None)
    assert result_of(first).users["0"].first_name == "1"
    harness.clock.advance(MIN_READ_INTERVAL)
    assert (harness.name(), harness.name()) == ("2", "2")


def test_what_is_known_serves_on_while_the_source_is_away(harness: Harness) -> None:
    harness.name()
    harness.away = True
    harness.clock.advance(KNOWN_TTL)
    assert (harness.name(), harness.name()) == ("1", "1")
    assert harness.asked == [A, A], "the second is answered from memory"
    assert error_of(harness.cache.get(B)) == "away"
    harness.clock.advance(1000)
    assert error_of(harness.cache.get(A)) == "away"


def test_only_so_many_accounts_are_read_at_once(harness: Harness) -> None:
    harness.held = Deferred()
    waiting = [harness.cache.get(f"{number:032x}") for number in range(MAX_READING)]
    assert "too many accounts" in error_of(harness.cache.get(A))
    held, harness.held = harness.held, None
    held.callback(None)
    assert all(result_of(one) for one in waiting)
    assert harness.name() == str(MAX_READING + 1)


@pytest.mark.parametrize("limit", ["MAX_ACCOUNTS", "MAX_MEMBERS"])
def test_beyond_its_limits_it_forgets_what_was_asked_for_longest_ago(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(people_cache, limit, 2 if limit == "MAX_ACCOUNTS" else 30)
    harness.users = 10
    other = "c" * 32
    names: Any = [harness.name(one) for one in (A, B, A, other, A, B)]
    assert names == ["1", "2", "1", "3", "1", "4"]


def test_an_account_that_is_larger_than_the_cache_is_kept_alone(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_cache, "MAX_MEMBERS", 5)
    harness.users = 10
    assert [harness.name(one) for one in (A, A, B, A)] == ["1", "1", "2", "3"]


def test_the_messages_are_about_the_four_types_of_documents() -> None:
    keys = {topic.pattern for topic in PEOPLE_TOPICS}
    assert {"doc_created.*.user.*", "doc_edited.*.callflow.*", "doc_deleted.*.group.*"} < keys
    assert len(keys) == 12
