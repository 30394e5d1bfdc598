from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from kazoo_bridge.demo.phase import Phase
from kazoo_bridge.demo.tenants import Party, Tenant
from kazoo_bridge.kazoo import Event
from tests.demo.harness import Harness


class Switch(Harness):
    """Makes calls on request; `replies` are those to the latest request."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed=seed)
        self.replies: list[Event] = []
        for call in self.switchboard.calls:
            call.commanded = True
        self.tenant: Tenant = next(iter(self.switchboard.calls)).tenant
        self.events.clear()

    def request(self, key: str, body: dict[str, Any]) -> None:
        def on_replies(replies: Any) -> bool:
            self.replies = list(replies)
            return False

        asked: Deferred[Any] = self.bus.request("callmgr", key, body, timeout=40, done_when=on_replies)
        asked.addErrback(lambda _: None)
        self.settle()

    def originate(self, party: Party, to: str, **more: Any) -> None:
        endpoint = {"Invite-Format": "username", "To-User": party.sip_username, "To-Realm": self.tenant.realm}
        body = {
            "Event-Category": "resource",
            "Event-Name": "originate_req",
            "Application-Name": "transfer",
            "Application-Data": {"Route": to},
            "Custom-Channel-Vars": {"Account-ID": self.tenant.id},
            "Endpoints": [{**endpoint, "Outbound-Call-ID": "c1"}],
        }
        self.request("originate.resource.req", body | more)

    def eavesdrop(self, **more: Any) -> None:
        body = {"Event-Category": "resource", "Event-Name": "eavesdrop_req", "Account-ID": self.tenant.id}
        self.request(
            "eavesdrop.resource.req", body | {key.replace("_", "-"): one for key, one in more.items()}
        )

    def names(self) -> list[tuple[str, str]]:
        """Return category and name of each reply."""
        return [(reply.body["Event-Category"], reply.name) for reply in self.replies]


@pytest.fixture
def switch() -> Iterator[Switch]:
    switch = Switch()
    yield switch
    switch.stop()
    switch.clock.advance(60)
    assert switch.clock.getDelayedCalls() == []


def own_events(switch: Switch) -> list[str]:
    return [name for name, leg_id in switch.leg_events() if leg_id == "c1"]


def test_the_telephone_rings_then_the_number(switch: Switch) -> None:
    caller, callee = switch.tenant.people[:2]
    switch.originate(caller, callee.number)
    assert switch.names() == [("resource", "originate_uuid")]
    found = switch.switchboard.calls.find("c1")
    assert found is not None
    call, leg = found
    assert (call.phase, leg.party, leg.direction) == (Phase.ORIGINATING, caller, "outbound")
    call.pick_up()
    switch.settle()
    assert switch.names()[1:] == [("resource", "originate_resp")]
    assert switch.replies[-1].body["Application-Response"] == "SUCCESS"
    switch.run_until(lambda: call.phase is Phase.RINGING)
    assert call.callee == callee
    call.answer()
    switch.settle()
    assert own_events(switch) == ["CHANNEL_CREATE", "CHANNEL_ANSWER", "CHANNEL_BRIDGE"]


def test_some_telephones_are_not_answered() -> None:
    outcomes = set()
    for seed in range(25):
        switch = Switch(seed)
        switch.originate(switch.tenant.people[0], "2002")
        switch.run_until(lambda switch=switch: len(switch.replies) > 1)  # type: ignore[misc]
        outcomes.add(switch.replies[-1].body.get("Error-Message"))
        switch.stop()
    assert outcomes == {None, "NO_ANSWER"}


def test_a_hangup_before_the_answer_is_an_error(switch: Switch) -> None:
    switch.originate(switch.tenant.people[0], "2002")
    switch.command("c1", "hangup")
    assert switch.names()[-1] == ("error", "originate_resp")
    assert switch.replies[-1].body["Error-Message"] == "NORMAL_CLEARING"
    assert switch.switchboard.calls.find("c1") is None


def test_who_does_not_want_to_be_disturbed_is_busy(switch: Switch) -> None:
    caller = switch.tenant.people[0]
    switch.switchboard.calls.undisturbed.add(caller)
    switch.originate(caller, "2002")
    switch.run(2)
    assert switch.replies[-1].body["Error-Message"] == "USER_BUSY"


def test_a_number_is_called_without_a_person(switch: Switch) -> None:
    endpoint = {"Invite-Format": "loopback", "Route": "+15555550199", "Outbound-Call-ID": "c1"}
    switch.originate(switch.tenant.people[0], "2002", Endpoints=[endpoint])
    found = switch.switchboard.calls.find("c1")
    assert found is not None
    assert found[1].party.number == "+15555550199"


def test_a_parked_call_is_retrieved_to_the_telephone(switch: Switch) -> None:
    parked = switch.connect_call()
    switch.command(parked.first.id, "park", {"slot": "105"})
    party = switch.switchboard.calls.colleague(parked)
    switch.originate(party, "*3105")
    call, leg = switch.switchboard.calls.find("c1") or (None, None)
    assert call is not None
    call.pick_up()
    switch.settle()
    assert (parked.phase, parked.second) == (Phase.TALKING, leg)
    assert parked.slot is None
    assert len(switch.switchboard.calls) == 1
    assert own_events(switch) == ["CHANNEL_CREATE", "CHANNEL_ANSWER"]
    assert "PARK_RETRIEVED" in [name for name, _ in switch.leg_events()]


def test_a_message_is_left_in_a_mailbox(switch: Switch) -> None:
    caller, owner = switch.tenant.people[:2]
    switch.originate(caller, f"**{owner.number}")
    call, _ = switch.switchboard.calls.find("c1") or (None, None)
    assert call is not None
    call.pick_up()
    assert (call.phase, call.callee) == (Phase.MAILBOX, owner)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"Application-Name": "bridge"}, "only the application transfer is simulated"),
        ({"Custom-Channel-Vars": {"Account-ID": "0" * 32}}, "there is no such account"),
        ({"Endpoints": []}, "there are no endpoints"),
        ({"Endpoints": [{"Invite-Format": "username", "To-User": "nobody"}]}, "USER_NOT_REGISTERED"),
        ({"Application-Data": 5}, "Application-Data has no Route"),
    ],
)
def test_impossible_calls_are_refused(switch: Switch, more: dict[str, Any], reason: str) -> None:
    switch.originate(switch.tenant.people[0], "2002", **more)
    assert switch.names() == [("error", "originate_resp")]
    assert switch.replies[0].body["Error-Message"] == reason
    assert own_events(switch) == []


def test_a_person_listens_to_a_call(switch: Switch) -> None:
    call = switch.connect_call()
    person = switch.switchboard.calls.colleague(call)
    switch.eavesdrop(Endpoint_ID=person.device_id, Eavesdrop_Call_ID=call.first.id, Eavesdrop_Mode="whisper")
    assert switch.names() == [("resource", "eavesdrop_resp")]
    body = switch.replies[0].body
    assert body["Status"] == "started"
    found = switch.switchboard.calls.find(body["Eavesdropper-Call-ID"])
    assert found is not None
    assert (found[0], found[1].party) == (call, person)
    switch.command(found[1].id, "hangup")
    assert call.phase is Phase.TALKING
    assert found[1] not in call.legs


@pytest.mark.parametrize("wrong", ["Endpoint_ID", "Eavesdrop_Call_ID"])
def test_listening_to_nothing_is_refused(switch: Switch, wrong: str) -> None:
    call = switch.connect_call()
    arguments = {"Endpoint_ID": switch.tenant.people[0].device_id, "Eavesdrop_Call_ID": call.first.id}
    switch.eavesdrop(**{**arguments, wrong: "unknown"})
    assert switch.replies[0].body["Status"] == "error"
    assert switch.replies[0].body["Error-Msg"]
