"""How a call goes on by itself: after every step, the next one and its time are drawn by lot."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.demo.call import Call, Phase
from kazoo_bridge.demo.leg import Leg
from kazoo_bridge.demo.notifications import NotificationPublisher
from kazoo_bridge.demo.tenants import Party, Tenant
from kazoo_bridge.demo.timer import Timer

#: Seconds after which a call takes no further step but its last.
MAX_CALL_SECONDS = 900.0

#: Seconds that a call is left alone after a command, so that whoever gave it can give another.
_LEFT_ALONE = (60.0, 120.0)

_Plan = tuple[float, Callable[[], object]]


class CallEnvironment(Protocol):
    """What a call needs to know of the others."""

    def colleague(self, call: Call) -> Party:
        """Somebody of the call's account who is not in the call."""

    def free_slot(self, tenant: Tenant) -> str:
        """The parking slot of the account to use next."""

    def ended(self, call: Call) -> None:
        """The call has ended."""


class CallScript:
    """One call's. A command may come between any two steps; the plan is made anew after it."""

    def __init__(
        self,
        clock: IReactorTime,
        chance: random.Random,
        call: Call,
        around: CallEnvironment,
        notices: NotificationPublisher,
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._call = call
        self._around = around
        self._notices = notices
        self._alarm = Timer(clock)
        self._began = clock.seconds()
        self._plans: dict[Phase, Callable[[], _Plan]] = {
            Phase.DIALLING: self._while_dialling,
            Phase.RINGING: self._while_ringing,
            Phase.TALKING: self._while_talking,
            Phase.HELD: self._while_held,
            Phase.PARKED: self._while_parked,
            Phase.MAILBOX: self._while_at_the_mailbox,
        }
        call.moved = self._moved

    def drop(self) -> None:
        """The call takes no further step."""
        self._alarm.clear()

    def _moved(self) -> None:
        call = self._call
        if call.phase is Phase.OVER:
            self._alarm.clear()
            self._around.ended(call)
        elif self._clock.seconds() - self._began > MAX_CALL_SECONDS:
            self._alarm.set(0, partial(call.hang_up, "ALLOTTED_TIMEOUT"))
        else:
            self._alarm.set(*self._plans[call.phase]())

    # -- plans

    def _while_dialling(self) -> _Plan:
        return self._between(0.2, 1.0), partial(self._call.ring, self._call.callee)

    def _while_ringing(self) -> _Plan:
        call, luck = self._call, self._chance.random()
        if call.commanded or call.first.answered is not None:
            return self._between(1.5, 4), call.answer
        if luck < 0.08:
            return self._between(4, 9), partial(call.hang_up, "ORIGINATOR_CANCEL")
        if luck < 0.12:
            return 0.5, partial(call.refuse, "USER_BUSY")
        if luck < 0.28:
            return self._between(10, 18), self._nobody_answers
        return self._between(1, 7), call.answer

    def _while_talking(self) -> _Plan:
        call, luck = self._call, self._chance.random()
        if call.commanded:
            return self._between(*_LEFT_ALONE), call.hang_up
        if luck < 0.14:
            return self._between(4, 12), lambda: call.hold(self._inside_leg())
        if luck < 0.22:
            return self._between(4, 12), lambda: call.park(
                self._other_leg(), self._around.free_slot(call.tenant)
            )
        if luck < 0.27:
            return self._between(4, 12), lambda: call.transfer(
                self._other_leg(), self._around.colleague(call)
            )
        if luck < 0.30:
            return self._between(4, 12), lambda: call.consult(self._other_leg(), self._around.colleague(call))
        return self._between(8, 45), call.hang_up

    def _while_held(self) -> _Plan:
        return self._between(*(_LEFT_ALONE if self._call.commanded else (4, 12))), self._call.resume

    def _while_parked(self) -> _Plan:
        call = self._call
        seconds = self._between(*(_LEFT_ALONE if call.commanded else (5, 20)))
        if self._chance.random() < 0.7:
            return seconds, lambda: call.retrieve(self._around.colleague(call))
        return seconds, call.hang_up

    def _while_at_the_mailbox(self) -> _Plan:
        length = self._between(5, 14)
        return length, partial(self._leave_message, length)

    # -- steps of more than one part

    def _nobody_answers(self) -> None:
        if self._call.callee.inside and self._chance.random() < 0.7:
            self._call.to_mailbox("NO_ANSWER")
        else:
            self._call.hang_up("NO_ANSWER")

    def _leave_message(self, length: float) -> None:
        call = self._call
        leg, callee = call.first, call.callee
        call.hang_up()
        self._notices.voicemail(leg, callee, int(length))

    def _inside_leg(self) -> Leg:
        """The one at whose end is somebody with a hold button."""
        return next((leg for leg in self._call.legs if leg.party.inside), self._call.first)

    def _other_leg(self) -> Leg:
        return self._call.other(self._inside_leg()) or self._call.first

    def _between(self, least: float, most: float) -> float:
        return self._chance.uniform(least, most)
