from __future__ import annotations

from kazoo_bridge.demo import DemoOptions
from kazoo_bridge.demo.presence import MAX_UNDISTURBED
from kazoo_bridge.kazoo import Event, encode_key_part
from tests.demo.harness import Harness


def presence(harness: Harness, kind: str) -> list[Event]:
    return [
        event
        for event in harness.events
        if event.exchange == "presence" and event.routing_key.startswith(f"{kind}.")
    ]


def test_each_leg_of_a_person_rings_talks_and_ends() -> None:
    harness = Harness(DemoOptions(calls_per_minute=30, accounts=3, max_calls=8), seed=3)
    harness.run(600)
    states: dict[str, list[str]] = {}
    for event in presence(harness, "dialog"):
        body = event.body
        assert body["Presence-ID"] == f"{body['From-User']}@{body['From-Realm']}"
        realm, call_id = encode_key_part(body["From-Realm"]), encode_key_part(body["Call-ID"])
        assert event.routing_key == f"dialog.{realm}.{call_id}"
        states.setdefault(body["Call-ID"], []).append(body["State"])
    live = {leg.id for leg in harness.switchboard.calls.legs()}
    ended = [found for leg_id, found in states.items() if leg_id not in live]
    assert len(ended) > 100
    for found in ended:
        # A leg that retrieves a parked call is answered at once.
        assert found[-1] == "terminated"
        assert found[:-1] in (["early", "confirmed"], ["early"], ["confirmed"])
    harness.stop()


def test_now_and_then_people_do_not_want_to_be_disturbed() -> None:
    harness = Harness(DemoOptions(calls_per_minute=60, accounts=3, max_calls=8), seed=5)
    most = 0

    def measure() -> None:
        nonlocal most
        most = max(most, len(harness.switchboard.calls.undisturbed))

    harness.run(1200, on_step=measure)
    updates = [(event.body["Presence-ID"], event.body["State"]) for event in presence(harness, "update")]
    assert 0 < most <= MAX_UNDISTURBED
    assert {state for _, state in updates} == {"offline", "online"}
    for person in {person for person, _ in updates}:
        own = [state for one, state in updates if one == person]
        assert own == [("offline", "online")[number % 2] for number in range(len(own))]
    harness.stop()
    assert harness.clock.getDelayedCalls() == []


def test_calls_are_missed() -> None:
    harness = Harness(DemoOptions(calls_per_minute=60, accounts=3, max_calls=8), seed=5)
    harness.run(600)
    missed = [event for event in harness.events if event.name == "missed_call"]
    assert {event.routing_key for event in missed} == {"notifications.sip.missed_call"}
    assert {event.body["Hangup-Cause"] for event in missed} >= {"USER_BUSY", "ORIGINATOR_CANCEL"}
    people = {person.number for tenant in harness.tenants for person in tenant.people}
    assert {event.body["Callee-ID-Number"] for event in missed} <= people
    harness.stop()
