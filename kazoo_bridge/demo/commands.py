"""Executes commands to simulated calls: KAZOO's metaflow actions and flows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from kazoo_bridge.demo.call import Call
from kazoo_bridge.demo.leg import Leg
from kazoo_bridge.demo.live_calls import SimulatedCalls
from kazoo_bridge.demo.phase import Phase
from kazoo_bridge.demo.tenants import Party
from kazoo_bridge.interfaces import Topic
from kazoo_bridge.kazoo import Event

#: Modules of one flow that are executed.
_MAX_FLOW_STEPS = 20

#: Actions that only change `Leg.media`.
_MEDIA_ACTIONS = frozenset({"play", "say", "tts", "audio_level"})

#: Argument of ``record_call`` -> state before -> state after; other states do not change.
_RECORDING: Mapping[str, Mapping[str, str]] = {
    "start": {"off": "on"},
    "stop": {"on": "off", "masked": "off"},
    "mask": {"on": "masked"},
    "unmask": {"masked": "on"},
    "toggle": {"off": "on", "on": "off", "masked": "off"},
}

#: Extensions, feature codes, and numbers.
_NUMBER = re.compile(r"[+*]?[0-9*#]+")

#: Feature codes of parking slots and mailboxes, as KAZOO's applications for accounts set them up.
PARK_CODE, MAILBOX_CODE = re.compile(r"\*[345](\d+)"), re.compile(r"\*\*(\d+)")

_Data = Mapping[str, Any]


class CommandNotPossible(Exception):
    """The command is incomplete, or not possible in the state of the call; the text says why."""


class CommandExecutor:
    """Executes the commands on the exchange ``metaflow``. `on_message` receives a line about each.

    There are no replies; the effect of a command is visible in the events of the call.
    """

    topics = frozenset({Topic("metaflow", "metaflow.action.*.*"), Topic("metaflow", "metaflow.flow.*")})

    def __init__(self, calls: SimulatedCalls, on_message: Callable[[str], None]) -> None:
        self._calls = calls
        self._on_message = on_message
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
        """Execute a command, or a flow module by module until one is not possible."""
        body = event.body
        flow = (
            body.get("Flow")
            if event.name == "flow"
            else {"module": body.get("Action"), "data": body.get("Data")}
        )
        for _ in range(_MAX_FLOW_STEPS):
            if not isinstance(flow, Mapping) or not self._execute(
                str(body.get("Call-ID")), str(flow.get("module")), flow.get("data")
            ):
                return
            children = flow.get("children")
            flow = children.get("_") if isinstance(children, Mapping) else None

    def _execute(self, call_id: str, action: str, data: object) -> bool:
        match = self._calls.find(call_id)
        try:
            if match is None:
                raise CommandNotPossible("no such call")
            call, leg = match
            party = f"{leg.party.name} ({leg.party.number})"
            # Before the step, because the next one is planned after it.
            call.commanded = True
            self._perform(call, leg, action, data if isinstance(data, Mapping) else {})
        except CommandNotPossible as error:
            self._on_message(f"command refused: {action} for {call_id}: {error}")
            return False
        media = ", ".join(f"{name} {value}" for name, value in sorted(leg.media.items()))
        state = f"the call is {call.phase.value}{media and '; ' + media}"
        self._on_message(f"command obeyed: {action} for {party}, {call_id}: {state}")
        return True

    def _perform(self, call: Call, leg: Leg, action: str, data: _Data) -> None:
        if action == "record_call":
            before = leg.media.get("recording", "off")
            call.record(leg, _RECORDING.get(str(data.get("action", "start")), {}).get(before, before))
        elif action in _MEDIA_ACTIONS:
            _set_media(leg, action, data)
        elif action in self._actions:
            self._actions[action](call, leg, data)
        else:
            raise CommandNotPossible("unknown action")

    # -- actions

    def _hangup(self, call: Call, leg: Leg, data: _Data) -> None:
        call.leave(leg)

    def _hold(self, call: Call, leg: Leg, data: _Data) -> None:
        _require(call.hold(leg), "the call is not connected")

    def _resume(self, call: Call, leg: Leg, data: _Data) -> None:
        _require(call.resume(), "the call is not on hold")

    def _break(self, call: Call, leg: Leg, data: _Data) -> None:
        # Stops playback. A mailbox and an announcement only play, so the call ends there.
        leg.media.pop("playing", None)
        if call.phase in (Phase.MAILBOX, Phase.ANNOUNCEMENT):
            call.hang_up()

    def _transfer(self, call: Call, leg: Leg, data: _Data) -> None:
        number = _text(data, "target")
        target = _called(call, number)
        # The transferring leg ends and the other one goes to the target, unless the command says otherwise.
        transferred = leg if data.get("leg") in ("bleg", "peer") else call.other(leg) or leg
        slot, mailbox = PARK_CODE.fullmatch(number), MAILBOX_CODE.fullmatch(number)
        if slot is not None:
            self._park_in(call, transferred, slot[1])
        elif mailbox is not None:
            call.transfer(transferred, self._person(call, mailbox[1]))
            call.to_mailbox("BLIND_TRANSFER")
        elif (
            data.get("transfer-type") == "attended"
            and call.second is not None
            and transferred is not call.ringing
        ):
            call.consult(transferred, target)
        else:
            call.transfer(transferred, target)

    def _park(self, call: Call, leg: Leg, data: _Data) -> None:
        slot = data.get("slot")
        self._park_in(call, leg, slot if isinstance(slot, str) else self._calls.free_slot(call.tenant))

    def _park_in(self, call: Call, leg: Leg, slot: str) -> None:
        _require(self._calls.in_slot(call.tenant, slot) is None, f"slot {slot} is taken")
        _require(call.park(leg, slot), "the call cannot be parked")

    def _unpark(self, call: Call, leg: Leg, data: _Data) -> None:
        _require(call.retrieve(self._calls.colleague(call)), "the call is not parked")

    def _intercept(self, call: Call, leg: Leg, data: _Data) -> None:
        target = _text(data, "target_id")
        party = _called(call, target) if data.get("target_type") == "number" else self._person(call, target)
        if data.get("unbridged_only") is True and call.second is not None:
            raise CommandNotPossible("the call is already bridged")
        if call.second is not None and party == call.second.party and leg is call.first and call.swap():
            return  # the person takes the held call, and holds the other
        call.take_over(leg, party, "NORMAL_CLEARING")

    def _move(self, call: Call, leg: Leg, data: _Data) -> None:
        # The leg moves to another telephone; the other leg stays.
        reference = data.get("device_id") or data.get("owner_id")
        party = self._person(call, reference) if isinstance(reference, str) else leg.party
        staying = call.other(leg)
        if staying is None or not party.inside:
            raise CommandNotPossible("there is no other leg")
        call.take_over(staying, party, "NORMAL_CLEARING")

    def _callflow(self, call: Call, leg: Leg, data: _Data) -> None:
        call.callflow_id = leg.callflow_id = _text(data, "id")
        call.transfer(leg, self._calls.colleague(call))

    def _person(self, call: Call, reference: str) -> Party:
        person = call.tenant.person(reference)
        if person is None:
            raise CommandNotPossible(f"the account has no user or device {reference}")
        return person


def _require(is_done: bool, reason: str) -> None:
    if not is_done:
        raise CommandNotPossible(reason)


def _called(call: Call, number: str) -> Party:
    """Return the party that a number leads to."""
    _require(_NUMBER.fullmatch(number) is not None, f"{number} is not a number")
    return call.tenant.party(number)


def _text(data: _Data, name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise CommandNotPossible(f"{name} is missing")
    return value


def _set_media(leg: Leg, action: str, data: Mapping[str, Any]) -> None:
    """Execute one of `_MEDIA_ACTIONS`."""
    if action == "audio_level":
        if data.get("action") == "stop":
            leg.media.pop("audio level", None)
        else:
            leg.media["audio level"] = str(data.get("level", 0))
    else:
        leg.media["playing"] = str(data.get("id" if action == "play" else "text", ""))[:80]
