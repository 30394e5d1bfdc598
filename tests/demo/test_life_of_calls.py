"""Calls that are left to themselves, for a long time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pytest

from kazoo_bridge.demo.background_activity import MAX_FAXES
from kazoo_bridge.demo.call_script import MAX_CALL_SECONDS
from kazoo_bridge.demo.leg import SWITCH
from kazoo_bridge.demo.options import DemoOptions
from kazoo_bridge.kazoo import Event, account_from_db, encode_key_part, to_gregorian
from kazoo_bridge.plugins.discovery import find_categories
from tests.demo.stage import START, Stage

_SECONDS = 10_000
_MOST_CALLS = 12
_CALL_EVENTS = {
    "CHANNEL_CREATE",
    "CHANNEL_ANSWER",
    "CHANNEL_BRIDGE",
    "CHANNEL_HOLD",
    "CHANNEL_UNHOLD",
    "PARK_PARKED",
    "PARK_RETRIEVED",
    "PARK_ABANDONED",
    "CHANNEL_DESTROY",
}


class LongRun:
    def __init__(self) -> None:
        self.stage = Stage(DemoOptions(calls_per_minute=30, accounts=4, max_calls=_MOST_CALLS), seed=7)
        self.most_calls = self.most_delayed = 0
        self.stage.run(_SECONDS, look=self._look)
        self.legs: dict[str, list[Event]] = defaultdict(list)
        for event in self.stage.call_events():
            self.legs[event.body["Call-ID"]].append(event)
        self.living = {leg.id for leg in self.stage.switchboard.live.legs()}

    def _look(self) -> None:
        self.most_calls = max(self.most_calls, len(self.stage.switchboard.live))
        self.most_delayed = max(self.most_delayed, len(self.stage.clock.getDelayedCalls()))

    def ended(self) -> list[list[Event]]:
        return [events for leg_id, events in self.legs.items() if leg_id not in self.living]


@pytest.fixture(scope="module")
def long_run() -> Iterator[LongRun]:
    run = LongRun()
    yield run
    run.stage.stop()


def test_every_leg_begins_once_and_ends_once(long_run: LongRun) -> None:
    assert len(long_run.ended()) > 2000
    for events in long_run.ended():
        names = [event.name for event in events]
        assert names.count("CHANNEL_CREATE") == names.count("CHANNEL_DESTROY") == 1
        assert names[0] == "CHANNEL_CREATE"
        assert names[-1] == "CHANNEL_DESTROY"
        assert names.count("CHANNEL_ANSWER") <= 1
        if "CHANNEL_BRIDGE" in names:
            assert names.index("CHANNEL_ANSWER") < names.index("CHANNEL_BRIDGE")


def test_no_call_lives_for_ever(long_run: LongRun) -> None:
    for leg in long_run.stage.switchboard.live.legs():
        assert long_run.stage.clock.seconds() - leg.created < MAX_CALL_SECONDS
    for events in long_run.ended():
        assert events[-1].body["Duration-Seconds"] < MAX_CALL_SECONDS


def test_the_numbers_are_bounded(long_run: LongRun) -> None:
    assert long_run.most_calls == _MOST_CALLS
    # Each call and each fax waits for one thing, the switchboard for the next call and the next happening, the bus hands out.
    assert long_run.most_delayed <= _MOST_CALLS + MAX_FAXES + 2 + 3


def test_holds_and_parkings_are_undone_or_end_with_the_call(long_run: LongRun) -> None:
    for events in long_run.ended():
        held = [event.name for event in events if event.name.endswith("HOLD")]
        assert held[::2] == ["CHANNEL_HOLD"] * len(held[::2])
        assert held[1::2] == ["CHANNEL_UNHOLD"] * len(held[1::2])
        parked = [event.name for event in events if event.name.startswith("PARK")]
        assert parked[::2] == ["PARK_PARKED"] * len(parked[::2])
        assert set(parked[1::2]) <= {"PARK_RETRIEVED", "PARK_ABANDONED"}
        assert len(parked) % 2 == 0


def test_everything_happens(long_run: LongRun) -> None:
    passed = long_run.stage.passed
    assert {event.name for event in long_run.stage.call_events()} == _CALL_EVENTS
    causes = {event.body["Hangup-Cause"] for event in passed if event.name == "CHANNEL_DESTROY"}
    assert causes >= {
        "NORMAL_CLEARING",
        "NO_ANSWER",
        "ORIGINATOR_CANCEL",
        "USER_BUSY",
        "BLIND_TRANSFER",
        "ATTENDED_TRANSFER",
    }
    keys = {event.routing_key for event in passed}
    assert keys >= {"notifications.voicemail.new", "notifications.fax.inbound", "notifications.fax.outbound"}
    assert {event.body["Fax-State"] for event in passed if event.exchange == "faxes"} == {
        "start",
        "receive",
        "send",
        "end",
    }
    assert {(event.name, event.body["Type"]) for event in passed if event.exchange == "configuration"} == {
        ("doc_edited", "user"),
        ("doc_created", "fax"),
        ("doc_edited", "fax"),
        ("doc_created", "mailbox_message"),
    }
    assert any(event.routing_key.startswith("sms.inbound.offnet.") for event in passed)


def test_durations_are_what_the_events_show(long_run: LongRun) -> None:
    for events in long_run.ended():
        body = events[-1].body
        answered = any(event.name == "CHANNEL_ANSWER" for event in events)
        lasted = body["Timestamp"] - events[0].body["Timestamp"]
        assert body["Duration-Seconds"] == body["Ringing-Seconds"] + body["Billing-Seconds"]
        assert abs(body["Duration-Seconds"] - lasted) <= 1
        assert answered or body["Billing-Seconds"] == 0


def test_messages_are_addressed_as_kazoo_addresses_them(long_run: LongRun) -> None:
    accounts = {tenant.id: tenant for tenant in long_run.stage.tenants}
    for event in long_run.stage.passed:
        assert {"App-Name", "App-Version", "Event-Category", "Event-Name", "Msg-ID"} <= event.body.keys()
        if event.exchange == "configuration":
            body = event.body
            assert account_from_db(body["Database"]) == body["Account-ID"]
            assert (
                event.routing_key
                == f"{event.name}.{body['Database']}.{body['Type']}.{encode_key_part(body['ID'])}"
            )
            assert body["Database"].endswith("-202611") == (body["Type"] != "user")
        elif event.exchange == "faxes":
            assert event.routing_key == f"fax.status.{event.body['Account-ID']}.{event.body['Job-ID']}"
    for event in long_run.stage.call_events():
        variables = event.body["Custom-Channel-Vars"]
        tenant = accounts[variables["Account-ID"]]
        assert event.routing_key == f"call.{event.name}.{encode_key_part(event.body['Call-ID'])}"
        assert variables["Realm"] == tenant.realm
        assert variables.get("Reseller-ID") == tenant.reseller_id
        if "Authorizing-ID" in variables:
            person = tenant.person(variables["Authorizing-ID"])
            assert person is not None
            assert person.user_id == variables["Owner-ID"]
        if event.name.startswith("PARK_"):
            assert event.body["Parking-Slot"] >= "101"


def test_the_categories_understand_all_of_it(long_run: LongRun) -> None:
    accounts = {tenant.id for tenant in long_run.stage.tenants}
    categories = find_categories("")
    hooks = set()
    for event in long_run.stage.passed:
        occurrences = [occurrence for category in categories for occurrence in category.occurrences(event)]
        assert occurrences, event.routing_key
        for occurrence in occurrences:
            assert occurrence.account_id in accounts
            hooks.add(occurrence.hook)
    assert hooks == {
        *(
            "channel_create",
            "channel_answer",
            "channel_bridge",
            "channel_destroy",
            "channel_hold",
            "channel_unhold",
        ),
        *("parking", "object", "notifications", "fax_status", "sms"),
    }


def test_an_unanswered_call_leaves_a_message(long_run: LongRun) -> None:
    notices = [event.body for event in long_run.stage.passed if event.name == "voicemail_new"]
    assert len(notices) > 20
    for notice in notices:
        events = long_run.legs[notice["Call-ID"]]
        assert [event.name for event in events] == ["CHANNEL_CREATE", "CHANNEL_ANSWER", "CHANNEL_DESTROY"]
        assert abs(events[-1].body["Billing-Seconds"] - notice["Voicemail-Length"]) <= 1


def test_nothing_is_left_after_the_end() -> None:
    stage = Stage(DemoOptions(calls_per_minute=120, max_calls=10), seed=2)
    stage.run(120)
    assert len(stage.switchboard.live) > 3
    stage.stop()
    assert stage.clock.getDelayedCalls() == []
    assert len(stage.switchboard.live) == 0


def test_it_can_be_started_again() -> None:
    stage = Stage(DemoOptions(calls_per_minute=60), seed=2)
    stage.switchboard.stopService()
    stage.passed.clear()
    stage.switchboard.startService()
    stage.run(30)
    assert any(event.name == "CHANNEL_DESTROY" for event in stage.passed)
    stage.stop()


def test_a_seed_gives_the_same_again() -> None:
    runs = []
    for seed in (4, 4, 5):
        stage = Stage(DemoOptions(), seed)
        stage.run(100)
        stage.stop()
        runs.append([(event.routing_key, event.body) for event in stage.passed])
    assert runs[0] == runs[1] != runs[2]


def test_a_reseller_and_sub_accounts_with_realms_of_their_own() -> None:
    tenants = Stage(DemoOptions(accounts=20)).tenants
    reseller, *subs = tenants
    assert reseller.reseller_id is None
    assert {sub.reseller_id for sub in subs} == {reseller.id}
    for told in ("id", "realm", "name", "number"):
        assert len({getattr(tenant, told) for tenant in tenants}) == 20, told


def test_what_the_bus_does_not_take_is_lost_and_the_calls_go_on() -> None:
    stage = Stage(DemoOptions(calls_per_minute=60))
    stage.bus.stopService()
    stage.run(60)
    stage.bus.startService()
    stage.passed.clear()
    stage.run(60)
    assert {event.name for event in stage.call_events()} >= {"CHANNEL_CREATE", "CHANNEL_DESTROY"}
    stage.stop()


def test_the_first_event_in_full() -> None:
    stage = Stage()
    (call,) = stage.switchboard.live
    (event,) = stage.passed
    body = event.body
    assert (event.name, body["Event-Category"], body["Node"]) == ("CHANNEL_CREATE", "call_event", SWITCH)
    assert body["Timestamp"] == to_gregorian(START)
    assert body["Call-Direction"] == "inbound"
    assert (body["Caller-ID-Name"], body["Caller-ID-Number"]) == (
        call.first.party.name,
        call.first.party.number,
    )
    assert "Other-Leg-Call-ID" not in body
    stage.stop()
