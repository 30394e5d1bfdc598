from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kazoo_bridge.couchdb.names import SYSTEM_CONFIG, number_database
from kazoo_bridge.directory.couchdb import numbers as numbers_module
from kazoo_bridge.directory.couchdb.cached_reader import KNOWN_WAIT
from kazoo_bridge.directory.couchdb.numbers import KNOWN_TTL, UNKNOWN_TTL, CouchNumbers, owner_of
from kazoo_bridge.directory.dialling import Dialling
from tests.couchdb.fake_couch import FakeCouch
from tests.couchdb.kazoo_cluster import CUSTOMER, NUMBER, SIBLING
from tests.directory.couchdb.harness import error_of, result_of

DIALLED = NUMBER.removeprefix("+1")
USABLE = 600.0


class NumbersHarness:
    """A CouchDB with one number, that of `CUSTOMER`."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.couch = FakeCouch()
        self.save_number(NUMBER, CUSTOMER)
        self.dialling = Dialling("NO")
        self.numbers = CouchNumbers(self.clock, self.couch.client(self.clock), USABLE, self.dialling)

    def save_number(self, number: str, owner: str, **more: Any) -> None:
        document = {"_id": number, "pvt_assigned_to": owner, "pvt_state": "in_service", **more}
        self.couch.save(number_database(number), document)

    def owner(self, number: str) -> str | None:
        """Ask as event handlers do."""
        asking = self.numbers.look_up(number)
        if asking is not None:
            result_of(asking)
        return self.numbers.owner(number)

    def asked(self) -> int:
        return self.couch.count("GET numbers/")


def test_a_number_is_asked_for_once_in_any_spelling() -> None:
    harness = NumbersHarness()
    assert harness.numbers.owner(DIALLED) is None
    assert {harness.owner(number) for number in (DIALLED, f"1{DIALLED}", NUMBER)} == {CUSTOMER}
    assert harness.asked() == 1
    assert harness.numbers.look_up(DIALLED) is None
    for number in ("2001", "+4722555019", "22555019"):
        assert harness.owner(number) is harness.owner(number) is None
    assert harness.couch.count("GET system_config") == 2


def test_who_asks_at_the_same_time_shares_a_request() -> None:
    harness = NumbersHarness()
    harness.couch.frozen = True
    asking = [harness.numbers.look_up(NUMBER) for _ in range(5)]
    assert all(one is not None and not one.called for one in asking)
    assert len(harness.couch.headers) == 1
    for one in asking:
        assert one is not None
        one.addErrback(lambda _: None).cancel()
    harness.clock.advance(60)


def test_both_answers_are_asked_for_again_after_a_while() -> None:
    harness = NumbersHarness()
    assert (harness.owner(NUMBER), harness.owner("+4722555019")) == (CUSTOMER, None)
    harness.save_number("+4722555019", SIBLING)
    harness.save_number(NUMBER, SIBLING)
    harness.clock.advance(UNKNOWN_TTL)
    assert (harness.owner(NUMBER), harness.owner("+4722555019")) == (CUSTOMER, SIBLING)
    harness.clock.advance(KNOWN_TTL)
    assert harness.owner(NUMBER) == SIBLING


@pytest.mark.parametrize("database", ["numbers/+1415", "numbers%2F+1415", "numbers%2F%2B1415"])
def test_a_message_of_kazoo_invalidates_a_number(database: str) -> None:
    harness = NumbersHarness()
    assert harness.owner(NUMBER) == CUSTOMER
    harness.save_number(NUMBER, SIBLING)
    for other in (("webhooks", NUMBER), (database, "+1"), (database, None), (None, NUMBER)):
        harness.numbers.document_changed(*other)
    assert harness.owner(NUMBER) == CUSTOMER
    harness.numbers.document_changed(database, NUMBER)
    assert harness.numbers.owner(NUMBER) is None
    assert harness.owner(NUMBER) == SIBLING


def test_a_number_that_changes_while_it_is_read_is_read_again() -> None:
    harness = NumbersHarness()

    def change(asked: str) -> None:
        if asked.startswith("GET numbers/") and harness.asked() == 1:
            harness.numbers.document_changed(number_database(NUMBER), NUMBER)

    harness.couch.answer_instead = change
    assert harness.owner(NUMBER) == CUSTOMER
    assert harness.asked() == 2


def test_after_missed_messages_everything_is_asked_for_again() -> None:
    harness = NumbersHarness()
    assert harness.owner(NUMBER) == CUSTOMER
    harness.numbers.mark_all_old()
    assert harness.numbers.owner(NUMBER) is None
    harness.save_number(NUMBER, SIBLING)
    assert harness.owner(NUMBER) == SIBLING
    assert harness.numbers.owner(NUMBER) == SIBLING
    assert harness.couch.count("GET system_config") == 4


def test_after_missed_messages_the_known_owner_serves_on_while_couchdb_is_away() -> None:
    harness = NumbersHarness()
    assert harness.owner(NUMBER) == CUSTOMER
    harness.couch.away = True
    harness.numbers.mark_all_old()
    for _ in range(3):
        assert harness.owner(NUMBER) == harness.owner(DIALLED) == CUSTOMER
        harness.clock.advance(10)
    harness.couch.away = False
    harness.save_number(NUMBER, SIBLING)
    assert harness.owner(NUMBER) == SIBLING


def test_after_missed_messages_events_do_not_wait_long_for_a_slow_couchdb() -> None:
    harness = NumbersHarness()
    assert harness.owner(NUMBER) == CUSTOMER
    harness.couch.frozen = True
    harness.numbers.mark_all_old()
    asking = harness.numbers.look_up(NUMBER)
    assert asking is not None
    assert harness.numbers.owner(NUMBER) is None
    harness.clock.advance(KNOWN_WAIT)
    result_of(asking)
    assert harness.numbers.owner(NUMBER) == CUSTOMER
    harness.clock.advance(60)


def test_the_converters_are_those_of_kazoo_and_followed() -> None:
    harness = NumbersHarness()
    assert harness.owner(NUMBER) == CUSTOMER
    converters = {r"^0(\d+)$": {"prefix": "+1"}, r"^(\d+)+$": {"prefix": "+"}}
    harness.couch.save(SYSTEM_CONFIG, {"_id": "number_manager", "default": {"e164_converters": converters}})
    assert harness.owner(f"0{DIALLED}") is None
    harness.numbers.document_changed(SYSTEM_CONFIG, "number_manager")
    assert harness.owner(f"0{DIALLED}") == CUSTOMER
    assert harness.owner(DIALLED) is None
    harness.couch.save(SYSTEM_CONFIG, {"_id": "stepswitch", "default": {"assume_inbound_e164": True}})
    harness.numbers.document_changed(SYSTEM_CONFIG, "stepswitch")
    assert harness.owner(f"1{DIALLED}") == CUSTOMER
    assert harness.dialling.to_e164(f"1{DIALLED}") == NUMBER


def begin(harness: NumbersHarness, number: str) -> Deferred[None]:
    """Begin to ask for a number, whose answer memory must not call final."""
    asking = harness.numbers.look_up(number)
    assert asking is not None
    assert not asking.called
    return asking


def test_no_answer_is_final_while_the_converters_are_read() -> None:
    harness = NumbersHarness()
    harness.save_number("+14155550199", SIBLING)
    harness.couch.hold("GET system_config/number_manager")
    first, second = begin(harness, DIALLED), begin(harness, "4155550199")
    harness.couch.release()
    result_of(first), result_of(second)
    assert (harness.numbers.owner(DIALLED), harness.numbers.owner("4155550199")) == (CUSTOMER, SIBLING)
    assert harness.couch.count("GET system_config") == 2


def test_converters_that_change_while_they_are_read_are_read_again() -> None:
    harness = NumbersHarness()
    harness.couch.hold("GET system_config/number_manager")
    asking = begin(harness, DIALLED)
    harness.numbers.document_changed(SYSTEM_CONFIG, "stepswitch")
    other = begin(harness, "4155550199")
    harness.couch.release()
    result_of(asking), result_of(other)
    assert harness.couch.count("GET system_config") == 4


def test_converters_that_cannot_be_read_fail_all_who_wait_and_are_read_again_later() -> None:
    harness = NumbersHarness()
    harness.couch.hold("GET system_config/number_manager")
    asking = [begin(harness, number) for number in (DIALLED, "4155550199")]
    harness.couch.release(500, b"{}")
    for one in asking:
        assert "status 500" in error_of(one)
    harness.clock.advance(3)
    assert harness.owner(DIALLED) == CUSTOMER


def test_a_known_owner_serves_on_while_the_converters_cannot_be_read() -> None:
    harness = NumbersHarness()
    assert harness.owner(DIALLED) == CUSTOMER
    harness.numbers.document_changed(SYSTEM_CONFIG, "stepswitch")
    harness.couch.away = True
    assert harness.owner(DIALLED) == CUSTOMER


def test_while_couchdb_is_away_what_is_known_serves_on_and_it_is_left_in_peace() -> None:
    harness = NumbersHarness()
    assert harness.owner(NUMBER) == CUSTOMER
    harness.couch.away = True
    harness.clock.advance(KNOWN_TTL)
    assert harness.owner(NUMBER) == CUSTOMER
    requests = len(harness.couch.headers)
    asking = harness.numbers.look_up("+4722555019")
    assert asking is not None
    assert "not answered just now" in error_of(asking)
    assert harness.owner(NUMBER) == CUSTOMER
    assert len(harness.couch.headers) == requests
    harness.clock.advance(USABLE)
    assert harness.numbers.owner(NUMBER) is None
    harness.couch.away = False
    assert harness.owner(NUMBER) == CUSTOMER


def test_numbers_and_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers_module, "MAX_NUMBERS", 2)
    monkeypatch.setattr(numbers_module, "MAX_READING", 1)
    harness = NumbersHarness()
    assert harness.owner(NUMBER) == CUSTOMER
    for last in range(3):
        assert harness.owner(f"+472255501{last}") is None
    assert harness.numbers.owner(NUMBER) is None
    harness.couch.frozen = True
    waiting = harness.numbers.look_up("+4722555031")
    assert waiting is not None
    waiting.addErrback(lambda _: None)
    refused = harness.numbers.look_up("+4722555032")
    assert refused is not None
    assert "too many" in error_of(refused)
    harness.clock.advance(60)


@pytest.mark.parametrize(
    ("changes", "owned"),
    [
        ({}, True),
        ({"pvt_state": "port_in"}, True),
        ({"pvt_state": "reserved"}, True),
        ({"pvt_state": "available"}, False),
        ({"pvt_state": None}, False),
        ({"pvt_deleted": True}, False),
        ({"pvt_assigned_to": "x"}, False),
        ({"pvt_assigned_to": None}, False),
    ],
)
def test_the_states_in_which_a_number_has_an_owner(changes: dict[str, Any], owned: bool) -> None:
    document = {"_id": NUMBER, "pvt_assigned_to": CUSTOMER, "pvt_state": "in_service"} | changes
    assert owner_of(document) == (CUSTOMER if owned else None)
