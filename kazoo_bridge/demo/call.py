"""A call and what can happen to it. Each step tells its events at once; when steps are taken is not settled here."""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum

from kazoo_bridge.demo.event_publisher import EventPublisher
from kazoo_bridge.demo.leg import Leg
from kazoo_bridge.demo.tenants import Party, Tenant, fresh_call_id

#: Hangup cause -> what SIP answers; anything else is an ordinary end.
_CODES = {
    "NO_ANSWER": "sip:480",
    "USER_BUSY": "sip:486",
    "ORIGINATOR_CANCEL": "sip:487",
    "ALLOTTED_TIMEOUT": "sip:602",
}


class Phase(Enum):
    """How far a call has got."""

    DIALLING = "dialling"
    RINGING = "ringing"
    TALKING = "talking"
    HELD = "held"
    PARKED = "parked"
    MAILBOX = "mailbox"
    OVER = "over"


class Call:
    """`first` is the leg that stays while others come and go; `second` talks with it; `ringing` is being called.

    The caller has `dialled` a number, which leads to `callee`. During an attended transfer there are all three legs. `moved` is called
    after every step. `commanded` is set once somebody has taken the call into their own hands.
    """

    def __init__(
        self,
        teller: EventPublisher,
        chance: random.Random,
        tenant: Tenant,
        caller: Party,
        dialled: Party,
        callee: Party,
    ) -> None:
        self._teller = teller
        self._chance = chance
        self.tenant = tenant
        self.callee = callee
        self.callflow_id = tenant.callflow_id
        self.phase = Phase.DIALLING
        self.slot: str | None = None
        self.second: Leg | None = None
        self.ringing: Leg | None = None
        self.commanded = False
        self.moved: Callable[[], None] = lambda: None
        self.first = self._new_leg("inbound", caller, caller, dialled)

    @property
    def legs(self) -> list[Leg]:
        """Those there are."""
        if self.phase is Phase.OVER:
            return []
        return [leg for leg in (self.first, self.second, self.ringing) if leg is not None]

    def other(self, leg: Leg) -> Leg | None:
        """Whoever talks with the leg, or is called for it or calls it."""
        return self.second or self.ringing if leg is self.first else self.first

    def place(self) -> None:
        """The caller dials."""
        self._teller.publish_leg(self.first, "CHANNEL_CREATE")
        self._to(Phase.DIALLING)

    def ring(self, party: Party) -> None:
        """The switch calls `party` on behalf of `first`."""
        self._stop_ringing("ORIGINATOR_CANCEL")
        self.callee = party
        self.ringing = self._new_leg("outbound", party, self.first.party, party)
        self.ringing.peer = self.first
        self._teller.publish_leg(self.ringing, "CHANNEL_CREATE")
        self._to(Phase.RINGING)

    def answer(self) -> None:
        """The party that was called takes the call, from whoever had it before."""
        self._take_call()
        self._to(Phase.TALKING)

    def refuse(self, cause: str) -> None:
        """The party that was called does not take it. Whoever was talking goes on; else the caller is told, and the call is over."""
        self._stop_ringing(cause)
        if self.second is None:
            self.hang_up(cause)
        else:
            self._unhold()
            self._to(Phase.TALKING)

    def to_mailbox(self, cause: str) -> None:
        """Nobody took the call: `first` is alone with a machine that takes messages."""
        self._stop_ringing(cause)
        self._answered(self.first)
        self._to(Phase.MAILBOX)

    def hold(self, leg: Leg) -> bool:
        """A leg that talks is put on hold; whether that was possible."""
        if self.phase is not Phase.TALKING:
            return False
        self._put_on_hold(leg)
        self._to(Phase.HELD)
        return True

    def resume(self) -> bool:
        """Nobody is on hold any more, and a transfer that was not completed is called off; whether that was possible."""
        if self.second is None or self.phase not in (Phase.HELD, Phase.RINGING):
            return False
        self._stop_ringing("ORIGINATOR_CANCEL")
        self._unhold()
        self._to(Phase.TALKING)
        return True

    def park(self, leg: Leg, slot: str) -> bool:
        """The leg waits in a slot, and whoever talked with it is free; whether that was possible."""
        if self.phase in (Phase.DIALLING, Phase.PARKED, Phase.OVER):
            return False
        self._leave_alone(leg, "NORMAL_CLEARING")
        self._answered(leg)
        self.slot = slot
        self._teller.publish_parking(leg, "PARK_PARKED", slot)
        self._to(Phase.PARKED)
        return True

    def retrieve(self, party: Party) -> bool:
        """Somebody fetches the parked call, by calling its slot; whether it was parked."""
        if self.slot is None:
            return False
        fetching = self._new_leg("inbound", party, party, Party(f"Slot {self.slot}", f"*3{self.slot}"))
        self._teller.publish_leg(fetching, "CHANNEL_CREATE")
        self._leave_slot()
        self._answered(fetching)
        self._connect(fetching)
        self._to(Phase.TALKING)
        return True

    def transfer(self, leg: Leg, party: Party) -> None:
        """Blind: the leg goes to `party`, and whoever talked with it is out."""
        self._leave_alone(leg, "BLIND_TRANSFER")
        self.ring(party)

    def consult(self, leg: Leg, party: Party) -> None:
        """Attended: the leg is on hold until `party` has answered and takes it over. Needs two legs that are connected."""
        self._keep(leg)
        self._put_on_hold(leg)
        self.ring(party)

    def take_over(self, leg: Leg, party: Party, cause: str) -> None:
        """`party` talks with the leg, at once; whoever did before is out with `cause`."""
        self._leave_alone(leg, cause)
        self.ring(party)
        self.answer()

    def hang_up(self, cause: str = "NORMAL_CLEARING") -> None:
        """Every leg ends."""
        if self.phase is Phase.OVER:
            return
        if self.slot is not None:
            self._teller.publish_parking(self.first, "PARK_ABANDONED", self.slot)
        for leg in reversed(self.legs):
            self._destroy(leg, cause)
        self.second = self.ringing = self.slot = None
        self._to(Phase.OVER)

    # -- the parts of steps

    def _new_leg(self, direction: str, party: Party, caller: Party, callee: Party) -> Leg:
        leg_id = fresh_call_id(self._chance)
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
            self._teller.now(),
        )

    def _keep(self, leg: Leg) -> None:
        """Make the leg the one that stays. One that was still being called has to answer for that."""
        if leg is self.ringing:
            self._take_call()
        if leg is self.second:
            self.first, self.second = leg, self.first

    def _take_call(self) -> None:
        answering, self.ringing = self.ringing, None
        if answering is not None:
            self._release_second("ATTENDED_TRANSFER")
            self._answered(answering)
            self._connect(answering)

    def _leave_alone(self, leg: Leg, cause: str) -> None:
        """The leg stays, all others go, and it is neither held nor parked any more."""
        self._keep(leg)
        self._stop_ringing(cause)
        self._release_second(cause)
        self._unhold()
        self._leave_slot()

    def _answered(self, leg: Leg) -> None:
        if leg.answered is None:
            leg.answered = self._teller.now()
            self._teller.publish_leg(leg, "CHANNEL_ANSWER")

    def _connect(self, leg: Leg) -> None:
        self.second = leg
        self.first.peer, leg.peer = leg, self.first
        if self.first.direction == "inbound":
            self.first.callee = leg.party
        self._answered(self.first)
        self._unhold()
        self._teller.publish_leg(
            self.first, "CHANNEL_BRIDGE", {"Other-Leg-Destination-Number": leg.party.number}
        )

    def _put_on_hold(self, leg: Leg) -> None:
        if not leg.on_hold:
            leg.on_hold = True
            self._teller.publish_leg(leg, "CHANNEL_HOLD")

    def _unhold(self) -> None:
        for leg in self.legs:
            if leg.on_hold:
                leg.on_hold = False
                self._teller.publish_leg(leg, "CHANNEL_UNHOLD")

    def _leave_slot(self) -> None:
        if self.slot is not None:
            self._teller.publish_parking(self.first, "PARK_RETRIEVED", self.slot)
            self.slot = None

    def _stop_ringing(self, cause: str) -> None:
        ringing, self.ringing = self.ringing, None
        if ringing is not None:
            self._destroy(ringing, cause)

    def _release_second(self, cause: str) -> None:
        second, self.second = self.second, None
        if second is not None:
            self.first.peer = None
            self._destroy(second, cause)

    def _destroy(self, leg: Leg, cause: str) -> None:
        self._teller.publish_leg(
            leg, "CHANNEL_DESTROY", leg.ending(self._teller.now(), cause, _CODES.get(cause, "sip:200"))
        )

    def _to(self, phase: Phase) -> None:
        self.phase = phase
        self.moved()
