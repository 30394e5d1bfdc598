"""Lets a simulated call proceed by itself: each next step and its time are chosen at random."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.demo.call import Call
from kazoo_bridge.demo.leg import Leg
from kazoo_bridge.demo.notifications import NotificationPublisher
from kazoo_bridge.demo.phase import Phase
from kazoo_bridge.demo.tenants import Party, Tenant
from kazoo_bridge.demo.timer import Timer

#: Seconds after which a call ends with its next step.
MAX_CALL_SECONDS = 900.0

#: Seconds, from and to, until a call proceeds after a command, so that further commands find it unchanged.
_IDLE_AFTER_COMMAND = (60.0, 120.0)

#: Seconds after which a call that waits for Pivot's answer ends: longer than any pivot point waits.
_MAX_ROUTING_SECONDS = 20.0

_Step = tuple[float, Callable[[], object]]


class CallEnvironment(Protocol):
    """What a script needs of the other calls."""

    def colleague(self, call: Call) -> Party:
        """Return a person of the call's account who is not in the call."""

    def free_slot(self, tenant: Tenant) -> str:
        """Return a free parking slot of the account."""

    def is_available(self, party: Party) -> bool:
        """Return False for a person who does not want to be disturbed."""


class CallScript:
    """The script of one call. Call `plan_next_step` after each of its steps, even if a command took it."""

    def __init__(
        self,
        clock: IReactorTime,
        rng: random.Random,
        call: Call,
        environment: CallEnvironment,
        notifications: NotificationPublisher,
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._call = call
        self._environment = environment
        self._notifications = notifications
        self._timer = Timer(clock)
        self._started_at = clock.seconds()
        self._choose_step: dict[Phase, Callable[[], _Step]] = {
            Phase.ORIGINATING: self._while_originating,
            Phase.CONSULTING: self._while_consulting,
            Phase.ROUTING: lambda: (_MAX_ROUTING_SECONDS, call.hang_up),
            Phase.ANNOUNCEMENT: lambda: (self._between(3, 6), call.hang_up),
            Phase.DIALLING: self._while_dialling,
            Phase.RINGING: self._while_ringing,
            Phase.TALKING: self._while_talking,
            Phase.HELD: self._while_held,
            Phase.PARKED: self._while_parked,
            Phase.MAILBOX: self._while_at_mailbox,
        }

    def stop(self) -> None:
        """Take no further step."""
        self._timer.clear()

    def plan_next_step(self) -> None:
        """Schedule the next step, in place of one that was scheduled before. The call must not be over."""
        call = self._call
        if self._clock.seconds() - self._started_at > MAX_CALL_SECONDS:
            self._timer.set(0, partial(call.hang_up, "ALLOTTED_TIMEOUT"))
        else:
            self._timer.set(*self._choose_step[call.phase]())

    # -- choices of the next step: its time in seconds, and the step

    def _while_originating(self) -> _Step:
        call = self._call
        if not self._environment.is_available(call.first.party):
            return 0.5, partial(call.hang_up, "USER_BUSY")
        if self._rng.random() < 0.85:
            return self._between(1.5, 4), call.pick_up
        return self._between(4, 8), partial(call.hang_up, "NO_ANSWER")

    def _while_consulting(self) -> _Step:
        call = self._call
        seconds = self._between(*(_IDLE_AFTER_COMMAND if call.commanded else (4, 12)))
        return seconds, call.complete_transfer if self._rng.random() < 0.8 else call.cancel_transfer

    def _while_dialling(self) -> _Step:
        return self._between(0.2, 1.0), partial(self._call.ring, self._call.callee)

    def _while_ringing(self) -> _Step:
        call, draw = self._call, self._rng.random()
        if not self._environment.is_available(call.callee):
            return 0.5, partial(self._missed, "USER_BUSY")
        if call.is_originated and call.second is None and draw < 0.15:
            return self._between(8, 14), self._not_answered
        if call.commanded or call.first.answered is not None:
            return self._between(1.5, 4), call.answer
        if draw < 0.08:
            return self._between(4, 9), partial(self._missed, "ORIGINATOR_CANCEL")
        if draw < 0.12:
            return 0.5, partial(self._missed, "USER_BUSY")
        if draw < 0.28:
            return self._between(10, 18), self._not_answered
        return self._between(1, 7), call.answer

    def _while_talking(self) -> _Step:
        call, draw = self._call, self._rng.random()
        if call.commanded:
            return self._between(*_IDLE_AFTER_COMMAND), call.hang_up
        if draw < 0.14:
            return self._between(4, 12), lambda: call.hold(self._inside_leg())
        if draw < 0.22:
            return self._between(4, 12), lambda: call.park(
                self._other_leg(), self._environment.free_slot(call.tenant)
            )
        if draw < 0.27:
            return self._between(4, 12), lambda: call.transfer(
                self._other_leg(), self._environment.colleague(call)
            )
        if draw < 0.30:
            return self._between(4, 12), lambda: call.consult(
                self._other_leg(), self._environment.colleague(call)
            )
        return self._between(8, 45), call.hang_up

    def _while_held(self) -> _Step:
        return self._between(*(_IDLE_AFTER_COMMAND if self._call.commanded else (4, 12))), self._call.resume

    def _while_parked(self) -> _Step:
        call = self._call
        seconds = self._between(*(_IDLE_AFTER_COMMAND if call.commanded else (5, 20)))
        if self._rng.random() < 0.7:
            return seconds, lambda: call.retrieve(self._environment.colleague(call))
        return seconds, call.hang_up

    def _while_at_mailbox(self) -> _Step:
        length = self._between(5, 14)
        return length, partial(self._leave_message, length)

    # -- steps of more than one part

    def _not_answered(self) -> None:
        if self._call.callee.inside and self._rng.random() < 0.7:
            self._call.to_mailbox("NO_ANSWER")
        else:
            self._missed("NO_ANSWER")

    def _missed(self, cause: str) -> None:
        """The called person does not answer, for a reason."""
        call = self._call
        leg, callee = call.first, call.callee
        if cause == "USER_BUSY":
            call.refuse(cause)
        else:
            call.hang_up(cause)
        if callee.inside:
            self._notifications.missed_call(leg, callee, cause)

    def _leave_message(self, length: float) -> None:
        call = self._call
        leg, callee = call.first, call.callee
        call.hang_up()
        self._notifications.voicemail(leg, callee, int(length))

    def _inside_leg(self) -> Leg:
        """Return the leg of a person of the account."""
        return next((leg for leg in self._call.legs if leg.party.inside), self._call.first)

    def _other_leg(self) -> Leg:
        return self._call.other(self._inside_leg()) or self._call.first

    def _between(self, low: float, high: float) -> float:
        return self._rng.uniform(low, high)
