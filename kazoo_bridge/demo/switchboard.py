"""A small simulated telephone exchange that speaks KAZOO's messages on the bus."""

from __future__ import annotations

import random
import uuid
from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from kazoo_bridge.interfaces import BusUnavailable, IBus
from kazoo_bridge.kazoo import encode_key_part, to_gregorian

_log = Logger()

_EXTENSIONS = {"2001": "Front Desk", "2002": "Amina Yusuf", "2003": "Warehouse", "2014": "Ingrid Solberg", "2020": "Night Bell"}
_CALLERS = {
    "+4722555019": "Solveig Dahl",
    "+390655501234": "Trattoria Bonaventura",
    "+15555550142": "R. Okafor",
    "+33155501987": "Cabinet Lémery",
}


@define
class _Call:
    """One simulated call: who, whom, and its single leg that hooks see."""

    account_id: str
    realm: str
    caller: tuple[str, str]
    callee: tuple[str, str]
    call_id: str = field(factory=lambda: f"{uuid.uuid4()}@switch.example.net")
    other_leg: str = field(factory=lambda: f"{uuid.uuid4()}@switch.example.net")

    def message(self, event: str, now: float, **more: Any) -> dict[str, Any]:
        return {
            "App-Name": "switchboard",
            "App-Version": "1",
            "Event-Category": "call_event",
            "Event-Name": event,
            "Msg-ID": uuid.uuid4().hex,
            "Call-ID": self.call_id,
            "Call-Direction": "inbound",
            "Caller-ID-Name": self.caller[1],
            "Caller-ID-Number": self.caller[0],
            "Callee-ID-Name": self.callee[1],
            "Callee-ID-Number": self.callee[0],
            "From": f"{self.caller[0]}@sip.example.net",
            "To": f"{self.callee[0]}@{self.realm}",
            "Request": f"{self.callee[0]}@{self.realm}",
            "Timestamp": to_gregorian(now),
            "Custom-Channel-Vars": {"Account-ID": self.account_id, "Realm": self.realm},
            **more,
        }


class Switchboard(Service):
    """Makes `calls_per_minute` calls for one account, each at its own pace."""

    def __init__(self, clock: IReactorTime, bus: IBus, account_id: str, realm: str, calls_per_minute: float) -> None:
        self._clock = clock
        self._bus = bus
        self._account_id = account_id
        self._realm = realm
        self._random = random.Random()
        self._loop = LoopingCall(self._begin)
        self._loop.clock = clock
        self._every = 60 / calls_per_minute
        self._calls: set[Deferred[None]] = set()

    def startService(self) -> None:
        """Begin to make calls."""
        super().startService()
        self._loop.start(self._every, now=True).addErrback(lambda failure: _log.failure("the switchboard has stopped", failure))

    def stopService(self) -> None:
        """Drop every call where it stands."""
        super().stopService()
        self._loop.stop()
        for call in list(self._calls):
            call.cancel()

    def _begin(self) -> None:
        callee = self._random.choice(list(_EXTENSIONS.items()))
        caller = self._random.choice(list(_CALLERS.items()))
        running = Deferred.fromCoroutine(self._live(_Call(self._account_id, self._realm, caller, callee)))
        self._calls.add(running)
        # A call that was dropped ends with a cancellation, which nobody needs to hear of.
        running.addErrback(lambda failure: failure.trap(CancelledError))
        running.addErrback(lambda failure: _log.failure("a simulated call has failed", failure))
        running.addBoth(lambda _: self._calls.discard(running))

    async def _live(self, call: _Call) -> None:
        ringing, talking = self._random.randint(1, 4), self._random.randint(3, 20)
        await self._tell(call, "CHANNEL_CREATE")
        await self._pass(ringing)
        if self._random.random() < 0.2:
            await self._tell(call, "CHANNEL_DESTROY", **_over("NO_ANSWER", "sip:480", ringing, 0))
            return
        leg = {"Other-Leg-Call-ID": call.other_leg}
        await self._tell(call, "CHANNEL_ANSWER", **leg)
        await self._tell(call, "CHANNEL_BRIDGE", **leg)
        await self._pass(talking)
        await self._tell(call, "CHANNEL_DESTROY", **leg, **_over("NORMAL_CLEARING", "sip:200", ringing, talking))

    async def _tell(self, call: _Call, event: str, **more: Any) -> None:
        try:
            message = call.message(event, self._clock.seconds(), **more)
            await self._bus.publish("callevt", f"call.{event}.{encode_key_part(call.call_id)}", message)
        except BusUnavailable as error:
            _log.warn("the switchboard cannot tell of {event}: {reason}", event=event, reason=error)

    def _pass(self, seconds: float) -> Deferred[None]:
        return deferLater(self._clock, seconds)


def _over(cause: str, code: str, ringing: int, talking: int) -> dict[str, Any]:
    return {
        "Hangup-Cause": cause,
        "Hangup-Code": code,
        "Ringing-Seconds": ringing,
        "Billing-Seconds": talking,
        "Duration-Seconds": ringing + talking,
    }
