"""A simulated call and its steps, each of which publishes its events."""

from __future__ import annotations

import random
from collections.abc import Callable

from kazoo_bridge.demo.event_publisher import EventPublisher
from kazoo_bridge.demo.leg import Leg
from kazoo_bridge.demo.phase import Phase
from kazoo_bridge.demo.tenants import Party, Tenant, make_call_id

#: Hangup cause -> SIP status; other causes have sip:200.
_SIP_STATUS = {
    "NO_ANSWER": "sip:480",
    "USER_BUSY": "sip:486",
    "ORIGINATOR_CANCEL": "sip:487",
    "ALLOTTED_TIMEOUT": "sip:602",
}


class Call:
    """A call with up to three legs, and listeners.

    `first` stays while the others change, `second` is connected to it, `ringing` rings. During an attended
    transfer `first` is held, `second` consults, and `ringing` becomes `consulted` when it is answered. The
    number of `called_party` leads to `callee`. `on_step` is called with the call after every step.
    `commanded` says that a command has been executed for the call, so that it proceeds by itself only slowly.
    `on_originated` receives the outcome of a call that begins with the ringing telephone of `first`: the
    cause of its failure, None for an answer.
    """

    def __init__(
        self,
        publisher: EventPublisher,
        rng: random.Random,
        tenant: Tenant,
        caller: Party,
        called_party: Party,
        callee: Party,
        on_step: Callable[[Call], None],
        originated_id: str | None = None,
        on_originated: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self._publisher = publisher
        self._rng = rng
        self.tenant = tenant
        self.callee = callee
        self.callflow_id = tenant.callflow_id
        self.phase = Phase.DIALLING if originated_id is None else Phase.ORIGINATING
        self.slot: str | None = None
        self.second: Leg | None = None
        self.ringing: Leg | None = None
        self.consulted: Leg | None = None
        self.listeners: list[Leg] = []
        self.commanded = False
        self._on_step = on_step
        self.is_originated = originated_id is not None
        self._on_originated = on_originated
        if originated_id is None:
            self.first = self._new_leg("inbound", caller, caller, called_party)
        else:
            self.first = self._new_leg("outbound", caller, called_party, caller, originated_id)

    @property
    def legs(self) -> list[Leg]:
        """The current legs."""
        if self.phase is Phase.OVER:
            return []
        parts = (self.first, self.second, self.ringing, self.consulted, *self.listeners)
        return [leg for leg in parts if leg is not None]

    @property
    def is_consulting(self) -> bool:
        """Whether an attended transfer is not complete yet."""
        return self.second is not None and (self.ringing is not None or self.consulted is not None)

    def other(self, leg: Leg) -> Leg | None:
        """Return the leg that is connected to `leg`, rings for it, or calls it."""
        if leg in (self.ringing, self.consulted):
            return self.second or self.first
        return self.second or self.ringing if leg is self.first else self.first

    def place(self) -> None:
        """Start the call: the caller dials, or the caller's telephone rings."""
        self._publisher.publish_leg(self.first, "CHANNEL_CREATE")
        self._set_phase(self.phase)

    def pick_up(self) -> None:
        """Answer the telephone of an originated call, which then dials."""
        self._answer_leg(self.first)
        self._set_phase(Phase.DIALLING)
        self._on_originated(None)

    def ring(self, party: Party) -> None:
        """Ring `party` for `first`; a leg that rang before ends."""
        self._cancel_ringing("ORIGINATOR_CANCEL")
        self.callee = party
        self.ringing = self._new_leg("outbound", party, self.first.party, party)
        self.ringing.peer = self.second or self.first
        self._publisher.publish_leg(self.ringing, "CHANNEL_CREATE")
        self._set_phase(Phase.RINGING)

    def answer(self) -> None:
        """Connect the ringing party to `first`, or to the consulting `second`."""
        if self.ringing is not None and self.second is not None:
            self.consulted, self.ringing = self.ringing, None
            self._answer_leg(self.consulted)
            self._consult()
            return
        self._take_call()
        self._set_phase(Phase.TALKING)

    def refuse(self, cause: str) -> None:
        """End the ringing leg with `cause`; without a connected second leg the whole call ends."""
        self._cancel_ringing(cause)
        if self.second is None:
            self.hang_up(cause)
        else:
            self._unhold()
            self._set_phase(Phase.TALKING)

    def to_mailbox(self, cause: str, phase: Phase = Phase.MAILBOX) -> None:
        """Connect `first` to the voicemail, or an announcement; a ringing leg ends with `cause`."""
        self._cancel_ringing(cause)
        self._answer_leg(self.first)
        self._set_phase(phase)

    def hold(self, leg: Leg) -> bool:
        """Put a connected leg on hold; return whether that was possible."""
        if self.phase is not Phase.TALKING:
            return False
        self._put_on_hold(leg)
        self._set_phase(Phase.HELD)
        return True

    def resume(self) -> bool:
        """End holding and an incomplete transfer; return whether that was possible."""
        if self.is_consulting:
            return self.cancel_transfer()
        if self.second is None or self.phase not in (Phase.HELD, Phase.RINGING):
            return False
        self._cancel_ringing("ORIGINATOR_CANCEL")
        self._unhold()
        self._set_phase(Phase.TALKING)
        return True

    def park(self, leg: Leg, slot: str) -> bool:
        """Park a leg in a slot and end the others; return whether that was possible."""
        if self.phase in (Phase.ORIGINATING, Phase.DIALLING, Phase.PARKED, Phase.OVER):
            return False
        self._isolate(leg, "NORMAL_CLEARING")
        self._answer_leg(leg)
        self.slot = slot
        self._publisher.publish_parking(leg, "PARK_PARKED", slot)
        self._set_phase(Phase.PARKED)
        return True

    def retrieve(self, party: Party, leg: Leg | None = None) -> bool:
        """Connect `party` to the parked call, with its leg or a new one; return whether it was parked."""
        if self.slot is None:
            return False
        slot = Party(f"Slot {self.slot}", f"*3{self.slot}")
        retrieving = leg or self._new_leg("inbound", party, party, slot)
        if leg is None:
            self._publisher.publish_leg(retrieving, "CHANNEL_CREATE")
        self._leave_slot()
        self._answer_leg(retrieving)
        self._connect(retrieving)
        self._set_phase(Phase.TALKING)
        return True

    def transfer(self, leg: Leg, party: Party) -> None:
        """Transfer a leg to `party` without consultation; the other legs end."""
        self._isolate(leg, "BLIND_TRANSFER")
        self.ring(party)

    def consult(self, leg: Leg, party: Party) -> None:
        """Start an attended transfer: hold the leg until `party` answers. Needs two connected legs."""
        self._make_first(leg)
        self._put_on_hold(leg)
        self.ring(party)

    def complete_transfer(self) -> bool:
        """End the consulting leg, and connect the others; return whether there was a consultation.

        While the consulted party's telephone rings, it rings for the held party from now on.
        """
        if not self.is_consulting:
            return False
        consulting, self.second = self.second, None
        consulted, self.consulted = self.consulted, None
        self.first.peer = None
        if consulting is not None:
            self._destroy(consulting, "ATTENDED_TRANSFER")
        if self.ringing is not None:
            self.ringing.peer = self.first
        if consulted is None:
            self._set_phase(Phase.RINGING)
        else:
            self._connect(consulted)
            self._set_phase(Phase.TALKING)
        return True

    def cancel_transfer(self) -> bool:
        """End the consulted leg, and connect the others; return whether there was a consultation."""
        if not self.is_consulting or self.second is None:
            return False
        self._cancel_ringing("ORIGINATOR_CANCEL")
        consulted, self.consulted = self.consulted, None
        if consulted is not None:
            self._destroy(consulted, "NORMAL_CLEARING")
        self._connect(self.second)
        self._set_phase(Phase.TALKING)
        return True

    def swap(self) -> bool:
        """Let the consulting leg talk to the held party, and hold the other; return whether it consults."""
        if self.phase is not Phase.CONSULTING or self.consulted is None:
            return False
        self.first, self.consulted = self.consulted, self.first
        self._unhold()
        self._put_on_hold(self.first)
        self._consult()
        return True

    def leave(self, leg: Leg) -> None:
        """Hang up one leg. The call goes on where the others can talk to each other."""
        if leg in self.listeners:
            self.listeners.remove(leg)
            self._destroy(leg, "NORMAL_CLEARING")
        elif not self.is_consulting:
            self.hang_up()
        elif leg is self.second:
            self.complete_transfer()
        elif leg is self.first:
            self._leave_consultation()
        else:
            self.cancel_transfer()

    def listen(self, party: Party, leg_id: str) -> None:
        """Let `party` listen to the call, with a leg of this id."""
        leg = self._new_leg("outbound", party, self.first.party, party, leg_id)
        self.listeners.append(leg)
        self._publisher.publish_leg(leg, "CHANNEL_CREATE")
        self._answer_leg(leg)

    def take_over(self, leg: Leg, party: Party, cause: str) -> None:
        """Connect `party` to the leg immediately; the other legs end with `cause`."""
        self._isolate(leg, cause)
        self.ring(party)
        self.answer()

    def hang_up(self, cause: str = "NORMAL_CLEARING") -> None:
        """End all legs."""
        if self.phase is Phase.OVER:
            return
        if self.slot is not None:
            self._publisher.publish_parking(self.first, "PARK_ABANDONED", self.slot)
        for leg in reversed(self.legs):
            self._destroy(leg, cause)
        if self.phase is Phase.ORIGINATING:
            self._on_originated(cause)
        self.second = self.ringing = self.consulted = self.slot = None
        self.listeners = []
        self._set_phase(Phase.OVER)

    # -- parts of steps

    def _new_leg(
        self, direction: str, party: Party, caller: Party, callee: Party, leg_id: str | None = None
    ) -> Leg:
        leg_id = leg_id or make_call_id(self._rng)
        begins = self.phase is Phase.ORIGINATING or (self.phase is Phase.DIALLING and direction == "inbound")
        bridge_id = leg_id if begins else self.first.bridge_id
        return Leg(
            self.tenant,
            leg_id,
            bridge_id,
            direction,
            party,
            caller,
            callee,
            self.callflow_id,
            self._publisher.now(),
        )

    def _make_first(self, leg: Leg) -> None:
        """Make the leg `first`. A ringing leg answers for that."""
        if leg is self.ringing:
            self._take_call()
        if leg is self.second:
            self.first, self.second = leg, self.first
        elif leg is self.consulted:
            self.first, self.consulted = leg, self.first

    def _take_call(self) -> None:
        answering, self.ringing = self.ringing, None
        if answering is not None:
            self._release_second("ATTENDED_TRANSFER")
            self._answer_leg(answering)
            self._connect(answering)

    def _isolate(self, leg: Leg, cause: str) -> None:
        """End all other legs, the hold and the parking of `leg`."""
        self._make_first(leg)
        self._cancel_ringing(cause)
        consulted, self.consulted = self.consulted, None
        if consulted is not None:
            self._destroy(consulted, cause)
        self._release_second(cause)
        self._unhold()
        self._leave_slot()

    def _consult(self) -> None:
        """Connect `second` with `consulted`."""
        if self.second is not None and self.consulted is not None:
            self.second.peer, self.consulted.peer = self.consulted, self.second
            self._publisher.publish_leg(
                self.second,
                "CHANNEL_BRIDGE",
                {"Other-Leg-Destination-Number": self.consulted.party.number},
            )
        self._set_phase(Phase.CONSULTING)

    def _leave_consultation(self) -> None:
        """End the held leg: those who consult stay connected."""
        held = self.first
        if self.second is not None:
            self.first, self.second, self.consulted = self.second, self.consulted, None
            self.first.peer = self.second
            if self.ringing is not None:
                self.ringing.peer = self.first
        self._destroy(held, "NORMAL_CLEARING")
        self._set_phase(Phase.RINGING if self.second is None else Phase.TALKING)

    def _answer_leg(self, leg: Leg) -> None:
        if leg.answered is None:
            leg.answered = self._publisher.now()
            self._publisher.publish_leg(leg, "CHANNEL_ANSWER")

    def _connect(self, leg: Leg) -> None:
        self.second = leg
        self.first.peer, leg.peer = leg, self.first
        if self.first.direction == "inbound":
            self.first.callee = leg.party
        self._answer_leg(self.first)
        self._unhold()
        self._publisher.publish_leg(
            self.first, "CHANNEL_BRIDGE", {"Other-Leg-Destination-Number": leg.party.number}
        )

    def _put_on_hold(self, leg: Leg) -> None:
        if not leg.on_hold:
            leg.on_hold = True
            self._publisher.publish_leg(leg, "CHANNEL_HOLD")

    def _unhold(self) -> None:
        for leg in self.legs:
            if leg.on_hold:
                leg.on_hold = False
                self._publisher.publish_leg(leg, "CHANNEL_UNHOLD")

    def _leave_slot(self) -> None:
        if self.slot is not None:
            self._publisher.publish_parking(self.first, "PARK_RETRIEVED", self.slot)
            self.slot = None

    def _cancel_ringing(self, cause: str) -> None:
        ringing, self.ringing = self.ringing, None
        if ringing is not None:
            self._destroy(ringing, cause)

    def _release_second(self, cause: str) -> None:
        second, self.second = self.second, None
        if second is not None:
            self.first.peer = None
            self._destroy(second, cause)

    def record(self, leg: Leg, state: str) -> None:
        """Set the state of a leg's recording, ``on``, ``off`` or ``masked``, and publish starts and ends."""
        was_on, is_on = (one in ("on", "masked") for one in (leg.media.get("recording"), state))
        leg.media["recording"] = state
        if was_on is not is_on:
            self._publisher.publish_leg(leg, "RECORD_START" if is_on else "RECORD_STOP")

    def _destroy(self, leg: Leg, cause: str) -> None:
        if leg.media.get("recording") in ("on", "masked"):
            self.record(leg, "off")
        self._publisher.publish_leg(
            leg,
            "CHANNEL_DESTROY",
            leg.hangup_fields(self._publisher.now(), cause, _SIP_STATUS.get(cause, "sip:200")),
        )

    def _set_phase(self, phase: Phase) -> None:
        self.phase = phase
        self._on_step(self)
