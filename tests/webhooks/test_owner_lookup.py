from __future__ import annotations

from typing import Any, cast

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.config.schema import Config
from kazoo_bridge.interfaces import IDirectory, StorageUnavailable
from kazoo_bridge.webhooks.delivery import dispatcher
from kazoo_bridge.webhooks.owner_lookup import (
    MAX_RETURNING,
    MAX_WAITING,
    OWNER_PATIENCE,
    OWNER_TIMEOUT,
    OwnerLookup,
)
from tests.webhooks.harness import results_of


@define
class AskedDirectory:
    """Asks for every number; the tests answer."""

    asked: list[Deferred[Any]] = field(factory=list)

    def look_up_number(self, number: str) -> Deferred[Any] | None:
        if number == "known":
            return None
        self.asked.append(Deferred())
        return self.asked[-1]


class Harness:
    def __init__(self) -> None:
        self.clock, self.directory = Clock(), AskedDirectory()
        self.owners = OwnerLookup(self.clock, cast(IDirectory, self.directory))

    def ask(self, number: str = "1") -> list[Any]:
        asking = self.owners.ask(number)
        assert asking is not None
        return results_of(asking)


def test_what_memory_says_is_final() -> None:
    harness = Harness()
    assert harness.owners.ask("known") is None
    assert harness.owners.ask(None) is None


def test_answers_and_their_failures() -> None:
    harness = Harness()
    good, away, defective, slow = (harness.ask() for _ in range(4))
    first, second, third, _ = harness.directory.asked
    first.callback(None)
    second.errback(StorageUnavailable("away"))
    with capturedLogs() as logs:
        third.errback(KeyError("x"))
    harness.clock.advance(OWNER_TIMEOUT)
    assert (good, away, defective, slow) == ([""], ["away"], ["'x'"], ["no answer within 5 s"])
    assert [log["log_failure"].type for log in logs] == [KeyError]
    assert harness.clock.getDelayedCalls() == []


def test_beyond_the_bound_an_event_does_not_wait() -> None:
    harness = Harness()
    waiting = [harness.ask() for _ in range(MAX_WAITING)]
    assert harness.ask() == [f"more than {MAX_WAITING} events wait for owners"]
    # What was asked for it is read all the same, and its failure harms nothing.
    harness.directory.asked[-1].errback(StorageUnavailable("away"))
    harness.directory.asked[0].callback(None)
    assert waiting[0] == [""]
    assert harness.ask() == []


def test_an_event_comes_again_for_a_while() -> None:
    harness = Harness()
    assert harness.owners.may_return("e", "away")
    harness.clock.advance(OWNER_PATIENCE - 1)
    assert harness.owners.may_return("e", "away")
    assert harness.owners.may_return("other", "away")
    harness.clock.advance(1)
    assert not harness.owners.may_return("e", "away")
    assert harness.owners.may_return("other", "away")
    assert harness.owners.given_up == 1
    harness.owners.stop()
    assert harness.clock.getDelayedCalls() == []


def test_events_that_are_to_come_again_are_bounded_and_forgotten() -> None:
    harness = Harness()
    for number in range(MAX_RETURNING):
        assert harness.owners.may_return(str(number), "away")
    assert not harness.owners.may_return("one more", "away")
    harness.clock.advance(2 * OWNER_PATIENCE + 1)
    assert harness.owners.may_return("later", "away")
    assert harness.owners.given_up == 1
    harness.owners.stop()


def test_an_event_that_never_comes_again_is_forgotten_without_another_failure() -> None:
    harness = Harness()
    assert harness.owners.may_return("first", "away")
    harness.clock.advance(OWNER_PATIENCE)
    assert harness.owners.may_return("second", "away")
    harness.clock.advance(OWNER_PATIENCE - 1)
    assert harness.owners.returning == 2
    harness.clock.advance(1)
    assert harness.owners.returning == 1
    harness.clock.advance(OWNER_PATIENCE)
    assert harness.owners.returning == 0
    assert harness.clock.getDelayedCalls() == []
    assert harness.owners.may_return("third", "away")
    harness.owners.stop()
    assert harness.clock.getDelayedCalls() == []


def test_the_first_failures_are_in_their_order_whichever_event_comes_again() -> None:
    harness = Harness()
    assert harness.owners.may_return("first", "away")
    harness.clock.advance(OWNER_PATIENCE - 1)
    assert harness.owners.may_return("second", "away")
    assert harness.owners.may_return("first", "away")
    harness.clock.advance(OWNER_PATIENCE + 2)
    assert harness.owners.may_return("third", "away")
    assert harness.owners.returning == 2


def test_events_that_have_been_delivered_take_no_place() -> None:
    harness = Harness()
    for number in range(MAX_RETURNING):
        assert harness.owners.may_return(str(number), "away")
        harness.owners.forget(str(number))
    assert harness.owners.may_return("one more", "away")
    assert (harness.owners.returning, harness.owners.given_up) == (1, 0)


def test_the_broker_delivers_more_events_than_wait_at_the_same_time() -> None:
    default = Config()
    waiting = default.webhooks.max_requests + dispatcher._MAX_WAITING_TOTAL + MAX_WAITING
    assert waiting < default.amqp.prefetch
