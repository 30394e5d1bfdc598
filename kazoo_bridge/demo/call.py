"""A simulated call and its steps, each of which publishes its events."""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum

from kazoo_bridge.demo.event_publisher import EventPublisher
from kazoo_bridge.demo.leg import Leg
from kazoo_bridge.demo.tenants import Party, Tenant, make_call_id

#: Hangup cause -> SIP status; other causes have sip:200.
_SIP_STATUS = {
    "NO_ANSWER": "sip:480",
    "USER_BUSY": "sip:486",
    "ORIGINATOR_CANCEL": "sip:487",
    "ALLOTTED_TIMEOUT": "sip:602",
}


class Phase(Enum):
    """The phase of a call."""

    DIALLING = "dialling"
    RINGING = "ringing"
    TALKING = "talking"
    HELD = "held"
    PARKED = "parked"
    MAILBOX = "mailbox"
    OVER = "over"


class Call:
    """A call with up to three legs.

    `first` stays while the others change, `second` is connected to it, `ringing` rings. All three exist
    during an attended transfer. The number of `called_party` leads to `callee`. `on_step` is called
    with the call after every step. `commanded` says that a command has been executed for the call, so that it
    proceeds by itself only slowly.
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
    ) -> None:
        self._publisher = publisher
        self._rng = rng
        self.tenant = tenant
        self.callee = callee
        self.callflow_id = tenant.callflow_id
        self.phase = Phase.DIALLING
        self.slot: str | None = None
        self.second: Leg | None = None
        self.ringing: Leg | None = None
        self.commanded = False
        self._on_step = on_step
        self.first = self._new_leg("inbound", caller, caller, called_party)

    @property
    def legs(self) -> list[Leg]:
        """The current legs."""
        if self.phase is Phase.OVER:
            return []
        return [leg for leg in (self.first, self.second, self.ringing) if leg is not None]

    def other(self, leg: Leg) -> Leg | None:
        """Return the leg that is connected to `leg`, rings for it, or calls it."""
        return self.second or self.ringing if leg is self.first else self.first

    def place(self) -> None:
        """Start the call: the caller dials."""
        self._publisher.publish_leg(self.first, "CHANNEL_CREATE")
        self._set_phase(Phase.DIALLING)

    def ring(self, party: Party) -> None:
        """Ring `party` for `first`; a leg that rang before ends."""
        self._cancel_ringing("ORIGINATOR_CANCEL")
        self.callee = party
        self.ringing = self._new_leg("outbound", party, self.first.party, party)
        self.ringing.peer = self.first
        self._publisher.publish_leg(self.ringing, "CHANNEL_CREATE")
        self._set_phase(Phase.RINGING)

    def answer(self) -> None:
        """Connect the ringing party to `first`, in place of `second`."""
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

    def to_mailbox(self, cause: str) -> None:
        """Connect `first` to the voicemail after the ringing leg has ended with `cause`."""
        self._cancel_ringing(cause)
        self._answer_leg(self.first)
        self._set_phase(Phase.MAILBOX)

    def hold(self, leg: Leg) -> bool:
        """Put a connected leg on hold; return whether that was possible."""
        if self.phase is not Phase.TALKING:
            return False
        self._put_on_hold(leg)
        self._set_phase(Phase.HELD)
        return True

    def resume(self) -> bool:
        """End holding and an incomplete transfer; return whether that was possible."""
        if self.second is None or self.phase not in (Phase.HELD, Phase.RINGING):
            return False
        self._cancel_ringing("ORIGINATOR_CANCEL")
        self._unhold()
        self._set_phase(Phase.TALKING)
        return True

    def park(self, leg: Leg, slot: str) -> bool:
        """Park a leg in a slot and end the others; return whether that was possible."""
        if self.phase in (Phase.DIALLING, Phase.PARKED, Phase.OVER):
            return False
        self._isolate(leg, "NORMAL_CLEARING")
        self._answer_leg(leg)
        self.slot = slot
        self._publisher.publish_parking(leg, "PARK_PARKED", slot)
        self._set_phase(Phase.PARKED)
        return True

    def retrieve(self, party: Party) -> bool:
        """Connect `party` to the parked call; return whether it was parked."""
        if self.slot is None:
            return False
        retrieving = self._new_leg("inbound", party, party, Party(f"Slot {self.slot}", f"*3{self.slot}"))
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
        self.second = self.ringing = self.slot = None
        self._set_phase(Phase.OVER)

    # -- parts of steps

    def _new_leg(self, direction: str, party: Party, caller: Party, callee: Party) -> Leg:
        leg_id = make_call_id(self._rng)
        bridge_id = (
            leg_id if self.phase is Phase.DIALLING and direction == "inbound" else self.first.bridge_id
        )
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
        self._release_second(cause)
        self._unhold()
        self._leave_slot()

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

    def _destroy(self, leg: Leg, cause: str) -> None:
        self._publisher.publish_leg(
            leg,
            "CHANNEL_DESTROY",
            leg.hangup_fields(self._publisher.now(), cause, _SIP_STATUS.get(cause, "sip:200")),
        )

    def _set_phase(self, phase: Phase) -> None:
        self.phase = phase
        self._on_step(self)
