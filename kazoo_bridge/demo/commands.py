"""What the switch does when it is told to: KAZOO's metaflows, single actions and whole flows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kazoo_bridge.demo.call import Call, Phase
from kazoo_bridge.demo.leg import Leg
from kazoo_bridge.demo.live_calls import SimulatedCalls
from kazoo_bridge.demo.media import MEDIA_ACTIONS, set_media
from kazoo_bridge.demo.tenants import Party
from kazoo_bridge.interfaces import Topic
from kazoo_bridge.kazoo import Event

#: How many modules of a flow are carried out one after another.
_MAX_FLOW_STEPS = 20

_Data = Mapping[str, Any]


class CommandNotPossible(Exception):
    """The call is not in a state for the command, or the command lacks something; the text says what."""


class CommandExecutor:
    """Commands come on ``metaflow``; nobody is answered, but `say` is called with a line for each, and events tell the rest."""

    topics = frozenset({Topic("metaflow", "metaflow.action.*.*"), Topic("metaflow", "metaflow.flow.*")})

    def __init__(self, live: SimulatedCalls, say: Callable[[str], None]) -> None:
        self._live = live
        self._say = say
        self._actions: dict[str, Callable[[Call, Leg, _Data], None]] = {
            "hangup": self._hangup,
            "break": self._break,
            "transfer": self._transfer,
            "hold": self._hold,
            "resume": self._resume,
            "unhold": self._resume,
            "park": self._park,
            "unpark": self._unpark,
            "intercept": self._intercept,
            "move": self._move,
            "callflow": self._callflow,
        }

    def handle(self, event: Event) -> None:
        """One command."""
        body = event.body
        flow = (
            body.get("Flow")
            if event.name == "flow"
            else {"module": body.get("Action"), "data": body.get("Data")}
        )
        for _ in range(_MAX_FLOW_STEPS):
            if not isinstance(flow, Mapping) or not self._carry_out(
                str(body.get("Call-ID")), str(flow.get("module")), flow.get("data")
            ):
                return
            children = flow.get("children")
            flow = children.get("_") if isinstance(children, Mapping) else None

    def _carry_out(self, call_id: str, action: str, data: object) -> bool:
        found = self._live.find(call_id)
        try:
            if found is None:
                raise CommandNotPossible("there is no such call")
            call, leg = found
            whose = f"{leg.party.name} ({leg.party.number})"
            # Before the first step, for the next one is planned with it.
            call.commanded = True
            self._perform(call, leg, action, data if isinstance(data, Mapping) else {})
        except CommandNotPossible as error:
            self._say(f"command refused: {action} for {call_id}: {error}")
            return False
        media = ", ".join(f"{what} {how}" for what, how in sorted(leg.media.items()))
        self._say(
            f"command obeyed: {action} for {whose}, {call_id}: the call is {call.phase.value}{media and '; ' + media}"
        )
        return True

    def _perform(self, call: Call, leg: Leg, action: str, data: _Data) -> None:
        if action in MEDIA_ACTIONS:
            set_media(leg, action, data)
        elif action in self._actions:
            self._actions[action](call, leg, data)
        else:
            raise CommandNotPossible("the switch does not know this action")

    # -- actions

    def _hangup(self, call: Call, leg: Leg, data: _Data) -> None:
        call.hang_up()

    def _hold(self, call: Call, leg: Leg, data: _Data) -> None:
        _possible(call.hold(leg), "nobody talks")

    def _resume(self, call: Call, leg: Leg, data: _Data) -> None:
        _possible(call.resume(), "nobody is on hold")

    def _break(self, call: Call, leg: Leg, data: _Data) -> None:
        # What is being played to the leg ends; a mailbox plays and nothing else, so that leaves it.
        leg.media.pop("playing", None)
        if call.phase is Phase.MAILBOX:
            call.hang_up()

    def _transfer(self, call: Call, leg: Leg, data: _Data) -> None:
        target = call.tenant.party(_text(data, "target"))
        # Who transfers is out in the end: it is the other one that goes to the target, unless the command is said to be the other one's.
        given_away = leg if data.get("leg") in ("bleg", "peer") else call.other(leg) or leg
        if (
            data.get("transfer-type") == "attended"
            and call.second is not None
            and given_away is not call.ringing
        ):
            call.consult(given_away, target)
        else:
            call.transfer(given_away, target)

    def _park(self, call: Call, leg: Leg, data: _Data) -> None:
        _possible(call.park(leg, self._live.free_slot(call.tenant)), "nobody to be parked")

    def _unpark(self, call: Call, leg: Leg, data: _Data) -> None:
        _possible(call.retrieve(self._live.colleague(call)), "it is not parked")

    def _intercept(self, call: Call, leg: Leg, data: _Data) -> None:
        target = _text(data, "target_id")
        party = (
            call.tenant.party(target) if data.get("target_type") == "number" else self._person(call, target)
        )
        if data.get("unbridged_only") is True and call.second is not None:
            raise CommandNotPossible("it is bridged already")
        call.take_over(leg, party, "NORMAL_CLEARING")

    def _move(self, call: Call, leg: Leg, data: _Data) -> None:
        # The leg moves to another telephone, so the other one stays.
        reference = data.get("device_id") or data.get("owner_id")
        party = self._person(call, reference) if isinstance(reference, str) else leg.party
        staying = call.other(leg)
        if staying is None or not party.inside:
            raise CommandNotPossible("there is nobody to move away from")
        call.take_over(staying, party, "NORMAL_CLEARING")

    def _callflow(self, call: Call, leg: Leg, data: _Data) -> None:
        call.callflow_id = leg.callflow_id = _text(data, "id")
        call.transfer(leg, self._live.colleague(call))

    def _person(self, call: Call, reference: str) -> Party:
        person = call.tenant.person(reference)
        if person is None:
            raise CommandNotPossible(f"the account has nobody with {reference}")
        return person


def _possible(done: bool, why_not: str) -> None:
    if not done:
        raise CommandNotPossible(why_not)


def _text(data: _Data, name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise CommandNotPossible(f"{name} is missing")
    return value
