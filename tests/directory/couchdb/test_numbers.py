from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from kazoo_bridge.directory.couchdb.numbers import CouchNumbers
from tests.couchdb.fake_couch import FakeCouch
from tests.couchdb.kazoo_cluster import CUSTOMER, NUMBER, SIBLING, KazooCluster
from tests.directory.couchdb.harness import error_of, result_of

DIGITS = NUMBER.removeprefix("+")
DB = "numbers/+1415"


class Harness:
    """Numbers of a fake CouchDB."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.couch = FakeCouch()
        KazooCluster(self.couch, self.clock.seconds).populate()
        self.numbers = CouchNumbers(self.clock, self.couch.client(self.clock))

    def look_up(self, number: str = DIGITS) -> str | None:
        looking = self.numbers.look_up(number)
        if looking is not None:
            result_of(looking)
        return self.numbers.owner(number)


def test_an_unknown_number_is_read_once() -> None:
    harness = Harness()
    assert harness.numbers.owner(DIGITS) is None
    assert [harness.look_up(), harness.look_up()] == [CUSTOMER, CUSTOMER]
    assert harness.numbers.look_up(DIGITS) is None
    assert harness.couch.count("GET numbers") == 1


@pytest.mark.parametrize("number", ["14155550199", "4722555019"])
def test_a_number_without_owner_is_remembered(number: str) -> None:
    harness = Harness()
    assert [harness.look_up(number), harness.look_up(number)] == [None, None]
    assert harness.couch.count("GET numbers") == 1


@pytest.mark.parametrize("number", ["", "100", "123456", "1" * 16, "x" * 10, "١" * 10, "_design/nu"])
def test_what_is_no_number_is_not_asked_for(number: str) -> None:
    harness = Harness()
    assert harness.numbers.look_up(number) is None
    assert harness.numbers.owner(number) is None


@pytest.mark.parametrize(
    ("change", "owner"),
    [
        ({"pvt_state": "port_in"}, CUSTOMER),
        ({"pvt_state": "aging"}, None),
        ({"pvt_state": None}, None),
        ({"pvt_deleted": True}, None),
        ({"pvt_assigned_to": "x"}, None),
        ({"pvt_assigned_to": None}, None),
    ],
)
def test_only_a_number_in_service_has_an_owner(change: dict[str, Any], owner: str | None) -> None:
    harness = Harness()
    harness.couch.update(DB, NUMBER, **change)
    assert harness.look_up() == owner


def test_a_message_brings_the_new_owner() -> None:
    harness = Harness()
    assert harness.look_up() == CUSTOMER
    harness.couch.update(DB, NUMBER, pvt_assigned_to=SIBLING)
    assert harness.look_up() == CUSTOMER
    for database, document_id in ((7, NUMBER), ("accounts", NUMBER), (DB, 7)):
        harness.numbers.document_changed(database, document_id)
    assert harness.numbers.owner(DIGITS) == CUSTOMER
    harness.numbers.document_changed("numbers%2F%2B1415", NUMBER)
    assert harness.numbers.owner(DIGITS) is None
    assert harness.look_up() == SIBLING


def test_what_is_known_stays_known_while_couchdb_is_away() -> None:
    harness = Harness()
    assert harness.look_up() == CUSTOMER
    harness.couch.away = True
    harness.clock.advance(1000)
    assert harness.numbers.owner(DIGITS) == CUSTOMER
    assert harness.look_up() == CUSTOMER
    looking = harness.numbers.look_up("14155550199")
    assert looking is not None
    error_of(looking)
