from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.demo import DemoOptions
from kazoo_bridge.demo.background_activity import MAX_FAXES
from kazoo_bridge.demo.call_script import MAX_CALL_SECONDS
from kazoo_bridge.demo.front_desk import PivotRoute
from kazoo_bridge.demo.leg import SWITCH
from kazoo_bridge.demo.presence import MAX_UNDISTURBED
from kazoo_bridge.demo.switchboard import Switchboard
from kazoo_bridge.demo.tenants import make_tenants
from kazoo_bridge.kazoo import Event, account_from_db, encode_key_part, to_gregorian
from kazoo_bridge.plugins.discovery import find_categories
from tests.demo.harness import START, Harness
from tests.demo.test_front_desk import FakeBridge

_SECONDS = 10_000
_MAX_CALLS = 12
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
        self.harness = Harness(DemoOptions(calls_per_minute=30, accounts=4, max_calls=_MAX_CALLS), seed=7)
        self.most_calls = self.most_delayed = 0
        self.harness.run(_SECONDS, on_step=self._measure)
        self.legs: dict[str, list[Event]] = defaultdict(list)
        for event in self.harness.call_events():
            self.legs[event.body["Call-ID"]].append(event)
        self.live_legs = {leg.id for leg in self.harness.switchboard.calls.legs()}

    def _measure(self) -> None:
        self.most_calls = max(self.most_calls, len(self.harness.switchboard.calls))
        self.most_delayed = max(self.most_delayed, len(self.harness.clock.getDelayedCalls()))

    def ended(self) -> list[list[Event]]:
        return [events for leg_id, events in self.legs.items() if leg_id not in self.live_legs]


@pytest.fixture(scope="module")
def long_run() -> Iterator[LongRun]:
    run = LongRun()
    yield run
    run.harness.stop()


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


def test_no_call_lasts_longer_than_the_maximum(long_run: LongRun) -> None:
    for leg in long_run.harness.switchboard.calls.legs():
        assert long_run.harness.clock.seconds() - leg.created < MAX_CALL_SECONDS
    for events in long_run.ended():
        assert events[-1].body["Duration-Seconds"] < MAX_CALL_SECONDS


def test_calls_and_delayed_calls_are_bounded(long_run: LongRun) -> None:
    assert long_run.most_calls == _MAX_CALLS
    # One for each call, fax and undisturbed person, the next of each, and the deliveries of the bus.
    assert long_run.most_delayed <= _MAX_CALLS + MAX_FAXES + MAX_UNDISTURBED + 3 + 3


def test_holds_and_parkings_end_before_the_call(long_run: LongRun) -> None:
    for events in long_run.ended():
        held = [event.name for event in events if event.name.endswith("HOLD")]
        assert held[::2] == ["CHANNEL_HOLD"] * len(held[::2])
        assert held[1::2] == ["CHANNEL_UNHOLD"] * len(held[1::2])
        parked = [event.name for event in events if event.name.startswith("PARK")]
        assert parked[::2] == ["PARK_PARKED"] * len(parked[::2])
        assert set(parked[1::2]) <= {"PARK_RETRIEVED", "PARK_ABANDONED"}
        assert len(parked) % 2 == 0


def test_every_kind_of_event_occurs(long_run: LongRun) -> None:
    events = long_run.harness.events
    assert {event.name for event in long_run.harness.call_events()} == _CALL_EVENTS
    causes = {event.body["Hangup-Cause"] for event in events if event.name == "CHANNEL_DESTROY"}
    assert causes >= {
        "NORMAL_CLEARING",
        "NO_ANSWER",
        "ORIGINATOR_CANCEL",
        "USER_BUSY",
        "BLIND_TRANSFER",
        "ATTENDED_TRANSFER",
    }
    keys = {event.routing_key for event in events}
    assert keys >= {"notifications.voicemail.new", "notifications.fax.inbound", "notifications.fax.outbound"}
    assert {event.body["Fax-State"] for event in events if event.exchange == "faxes"} == {
        "start",
        "receive",
        "send",
        "end",
    }
    assert {(event.name, event.body["Type"]) for event in events if event.exchange == "configuration"} == {
        ("doc_edited", "user"),
        ("doc_created", "fax"),
        ("doc_edited", "fax"),
        ("doc_created", "mailbox_message"),
    }
    assert any(event.routing_key.startswith("sms.inbound.offnet.") for event in events)


def test_durations_match_the_times_of_the_events(long_run: LongRun) -> None:
    for events in long_run.ended():
        body = events[-1].body
        answered = any(event.name == "CHANNEL_ANSWER" for event in events)
        lasted = body["Timestamp"] - events[0].body["Timestamp"]
        assert body["Duration-Seconds"] == body["Ringing-Seconds"] + body["Billing-Seconds"]
        assert abs(body["Duration-Seconds"] - lasted) <= 1
        assert answered or body["Billing-Seconds"] == 0


def test_exchanges_routing_keys_and_ids_are_like_kazoo_s(long_run: LongRun) -> None:
    accounts = {tenant.id: tenant for tenant in long_run.harness.tenants}
    for event in long_run.harness.events:
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
    for event in long_run.harness.call_events():
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


def test_the_categories_find_an_occurrence_in_every_event(long_run: LongRun) -> None:
    accounts = {tenant.id for tenant in long_run.harness.tenants}
    categories = find_categories("")
    hooks = set()
    for event in long_run.harness.events:
        if event.exchange == "presence":
            continue  # presence has no hooks
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


def test_unanswered_calls_leave_voicemail(long_run: LongRun) -> None:
    voicemails = [event.body for event in long_run.harness.events if event.name == "voicemail_new"]
    assert len(voicemails) > 20
    for voicemail in voicemails:
        events = long_run.legs[voicemail["Call-ID"]]
        assert [event.name for event in events] == ["CHANNEL_CREATE", "CHANNEL_ANSWER", "CHANNEL_DESTROY"]
        assert abs(events[-1].body["Billing-Seconds"] - voicemail["Voicemail-Length"]) <= 1


def test_stop_leaves_no_call_and_no_delayed_call() -> None:
    harness = Harness(DemoOptions(calls_per_minute=120, max_calls=10), seed=2)
    harness.run(120)
    assert len(harness.switchboard.calls) > 3
    harness.stop()
    assert harness.clock.getDelayedCalls() == []
    assert len(harness.switchboard.calls) == 0


def test_the_switch_can_be_started_again() -> None:
    harness = Harness(DemoOptions(calls_per_minute=60), seed=2)
    harness.switchboard.stopService()
    harness.events.clear()
    harness.switchboard.startService()
    harness.run(30)
    assert any(event.name == "CHANNEL_DESTROY" for event in harness.events)
    harness.stop()


def test_the_same_seed_makes_the_same_events() -> None:
    runs = []
    for seed in (4, 4, 5):
        harness = Harness(DemoOptions(), seed)
        harness.run(100)
        harness.stop()
        runs.append([(event.routing_key, event.body) for event in harness.events])
    assert runs[0] == runs[1] != runs[2]


def test_calls_to_a_front_desk_depend_on_the_seed_and_without_one_on_chance() -> None:
    def first_call(seed: int | None) -> float:
        clock, rng = Clock(), random.Random(1)
        bus, tenants = EmbeddedBus(clock), make_tenants(rng, 1)
        route = PivotRoute(tenants[0], "http://bridge/", FakeBridge().post)
        options = DemoOptions(calls_per_minute=0.0001, seed=seed)
        switchboard = Switchboard(clock, bus, tenants, options, rng, lambda _: None, [route])
        (desk,) = switchboard._front_desks
        before = set(clock.getDelayedCalls())
        desk.start()
        (starting,) = set(clock.getDelayedCalls()) - before
        return starting.getTime()

    assert first_call(4) == first_call(4) != first_call(5)
    assert first_call(None) != first_call(None)


def test_accounts_have_different_ids_realms_names_and_numbers() -> None:
    tenants = Harness(DemoOptions(accounts=20)).tenants
    reseller, *subs = tenants
    assert reseller.reseller_id is None
    assert {sub.reseller_id for sub in subs} == {reseller.id}
    for name in ("id", "realm", "name", "number"):
        assert len({getattr(tenant, name) for tenant in tenants}) == 20, name


def test_events_are_lost_while_the_bus_is_down_and_calls_go_on() -> None:
    harness = Harness(DemoOptions(calls_per_minute=60))
    harness.bus.stopService()
    harness.run(60)
    harness.bus.startService()
    harness.events.clear()
    harness.run(60)
    assert {event.name for event in harness.call_events()} >= {"CHANNEL_CREATE", "CHANNEL_DESTROY"}
    harness.stop()


def test_the_first_event() -> None:
    harness = Harness()
    (call,) = harness.switchboard.calls
    event = harness.events[0]
    assert {one.exchange for one in harness.events[1:]} <= {"presence"}
    body = event.body
    assert (event.name, body["Event-Category"], body["Node"]) == ("CHANNEL_CREATE", "call_event", SWITCH)
    assert body["Timestamp"] == to_gregorian(START)
    assert body["Call-Direction"] == "inbound"
    assert (body["Caller-ID-Name"], body["Caller-ID-Number"]) == (
        call.first.party.name,
        call.first.party.number,
    )
    assert "Other-Leg-Call-ID" not in body
    harness.stop()
