"""Publishes the presence of the accounts' people: ringing, talking, free, and now and then do not disturb."""

from __future__ import annotations

import random
from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.demo.call import Call
from kazoo_bridge.demo.event_publisher import EventPublisher
from kazoo_bridge.demo.leg import SWITCH, Leg
from kazoo_bridge.demo.live_calls import SimulatedCalls
from kazoo_bridge.demo.tenants import Party, Tenant
from kazoo_bridge.demo.timer import Timer
from kazoo_bridge.kazoo import encode_key_part

#: States of dialogs, and of people who are not available, in KAZOO's words (``kapi_presence``).
RINGING, TALKING, FREE = "early", "confirmed", "terminated"
UNDISTURBED, AVAILABLE = "offline", "online"

#: Seconds, from and to, for which a person does not want to be disturbed.
_UNDISTURBED_SECONDS = (60.0, 240.0)

#: People who do not want to be disturbed at the same time.
MAX_UNDISTURBED = 3


class PresencePublisher:
    """Publishes each change once. `interval`: seconds until the next person does not want to be disturbed."""

    def __init__(
        self,
        clock: IReactorTime,
        rng: random.Random,
        publisher: EventPublisher,
        tenants: Sequence[Tenant],
        interval: float,
    ) -> None:
        self._rng = rng
        self._publisher = publisher
        self._tenants = tenants
        self._interval = interval
        self._next = Timer(clock)
        self._clock = clock
        self._ends: dict[Party, Timer] = {}
        #: By leg: its person's state.
        self._states: dict[str, str] = {}
        self._legs: dict[Call, dict[str, Leg]] = {}

    def start(self, calls: SimulatedCalls) -> None:
        """Let people of `calls` not be disturbed now and then."""
        self._next.set(self._rng.expovariate(1 / self._interval), lambda: self._on_next(calls))

    def stop(self) -> None:
        """Cancel all delayed calls."""
        for timer in (self._next, *self._ends.values()):
            timer.clear()
        self._ends.clear()

    def on_step(self, call: Call) -> None:
        """Publish what a step of a call has changed for the people in it."""
        before, legs = self._legs.pop(call, {}), {leg.id: leg for leg in call.legs}
        for leg_id, leg in before.items():
            if leg_id not in legs:
                self._states.pop(leg_id, None)
                self._publish_dialog(leg, FREE)
        for leg_id, leg in legs.items():
            state = RINGING if leg.answered is None else TALKING
            if self._states.get(leg_id) != state:
                self._states[leg_id] = state
                self._publish_dialog(leg, state)
        if legs:
            self._legs[call] = legs

    def _on_next(self, calls: SimulatedCalls) -> None:
        self.start(calls)
        tenant = self._rng.choice(self._tenants)
        person = self._rng.choice(tenant.people)
        # The front desk always answers.
        if person is tenant.receptionist:
            return
        if person in calls.undisturbed or len(self._ends) >= MAX_UNDISTURBED:
            return
        calls.undisturbed.add(person)
        self._publish_update(tenant, person, UNDISTURBED)
        timer = self._ends[person] = Timer(self._clock)
        seconds = self._rng.uniform(*_UNDISTURBED_SECONDS)
        timer.set(seconds, lambda: self._on_end(calls, tenant, person))

    def _on_end(self, calls: SimulatedCalls, tenant: Tenant, person: Party) -> None:
        del self._ends[person]
        calls.undisturbed.discard(person)
        self._publish_update(tenant, person, AVAILABLE)

    def _publish_dialog(self, leg: Leg, state: str) -> None:
        if not leg.party.inside:
            return
        tenant, user = leg.tenant, leg.party.number
        other = leg.caller if leg.direction == "outbound" else leg.callee
        presence_id = f"{user}@{tenant.realm}"
        body = {
            "Presence-ID": presence_id,
            "From": f"sip:{presence_id}",
            "From-User": user,
            "From-Realm": tenant.realm,
            "To": f"sip:{other.number}@{tenant.realm}",
            "To-User": other.number,
            "To-Realm": tenant.realm,
            "State": state,
            "Call-ID": leg.id,
            "Direction": "recipient" if leg.direction == "outbound" else "initiator",
            "Event-Package": "dialog",
            "Expires": 10 if state == FREE else 3600,
            "Switch-URI": f"sip:{SWITCH}",
        }
        key = f"dialog.{encode_key_part(tenant.realm)}.{encode_key_part(leg.id)}"
        self._publisher.publish_event("presence", key, "presence", "dialog_update", body)

    def _publish_update(self, tenant: Tenant, person: Party, state: str) -> None:
        presence_id = f"{person.number}@{tenant.realm}"
        body = {
            "Presence-ID": presence_id,
            "From": f"sip:{presence_id}",
            "From-User": person.number,
            "From-Realm": tenant.realm,
            "State": state,
            "Call-ID": str(person.device_id),
            "Event-Package": "presence",
        }
        key = f"update.{encode_key_part(tenant.realm)}.{encode_key_part(str(person.device_id))}"
        self._publisher.publish_event("presence", key, "presence", "update", body)
