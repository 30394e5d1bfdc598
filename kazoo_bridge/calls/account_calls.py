"""One account's live calls: changed by events, corrected by answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from twisted.logger import Logger

from kazoo_bridge.calls.call_state import (
    CREATED,
    END_EVENTS,
    UNPARK_EVENTS,
    Call,
    apply_event,
    apply_reply,
    from_channel,
    unparked,
)
from kazoo_bridge.calls.channel_replies import Channel, ChannelReport, replying_node

_log = Logger()

#: Calls of one account; more are not shown.
MAX_CALLS = 10_000

#: Ended calls of one account that are remembered, and for how many seconds.
MAX_ENDED = 10_000
ENDED_TTL = 120.0

#: A call that an event told of so many seconds before the question may be missing in the answer: nodes hear of it one after another.
NEW_CALL_GRACE = 2.0

#: So many answers in a row a call may be missing when the node that knew it is silent: slow nodes are late, dead ones never come back.
MAX_MISSING_REPLIES = 2

_MAX_ID_LENGTH = 512
_NEVER = float("-inf")


@frozen
class CallsDiff:
    """What has become different: calls that are new or have changed, and the ids of those that have ended."""

    changed: Sequence[Call] = ()
    removed: Sequence[str] = ()


_NONE = CallsDiff()


@define(eq=False)
class AccountCalls:
    """The calls by id. Times are in seconds, of any clock that only moves forward."""

    account_id: str
    calls: dict[str, Call] = field(init=False, factory=dict)
    _touched: dict[str, float] = field(init=False, factory=dict)
    _ended: dict[str, float] = field(init=False, factory=dict)
    _full: bool = field(init=False, default=False)
    #: By call id: the node that told of the call last, and for how many answers in a row it has been silent.
    _node_of: dict[str, str] = field(init=False, factory=dict)
    _missing: dict[str, int] = field(init=False, factory=dict)

    @property
    def has_unconfirmed(self) -> bool:
        """Whether there are calls whose node was silent."""
        return bool(self._missing)

    def apply_event(self, name: str, body: Mapping[str, Any], now: float) -> CallsDiff:
        """Follow one of the `EVENTS`, which is the account's."""
        call_id = body.get("Call-ID")
        if not isinstance(call_id, str) or not 0 < len(call_id) <= _MAX_ID_LENGTH:
            return _NONE
        if name in END_EVENTS:
            # A call that moves to another switch ends here only to go on there.
            return _NONE if body.get("Channel-Moving") in (True, "true") else self._end(call_id, now)
        if name == CREATED:
            self._ended.pop(call_id, None)
        elif call_id in self._ended:
            return _NONE
        changed = self._leave_slot(body.get("Parking-Slot")) if name in UNPARK_EVENTS else []
        if name not in UNPARK_EVENTS or call_id in self.calls:
            self._touched[call_id] = now
            self._node_of[call_id] = replying_node(body)
            changed += self._put(apply_event(self.account_id, name, self.calls.get(call_id), body))
        else:
            self._touched.pop(call_id, None)
        return CallsDiff(list({call["call_id"]: call for call in changed}.values()))

    def reconcile(self, answer: ChannelReport, asked: float, now: float) -> CallsDiff:
        """Follow the answer to a question that was asked at a time.

        An event since then knows better, and a call whose end was heard of does not come back.
        """
        self._forget_ended(now)
        told = {
            channel["call_id"]: channel
            for channel in answer.channels
            if channel["call_id"] not in self._ended
        }
        changed = [
            call
            for call_id, channel in told.items()
            for call in self._put(self._reconcile(call_id, channel, asked))
        ]
        for call_id in told:
            self._missing.pop(call_id, None)
            if call_id in self.calls:
                self._node_of[call_id] = answer.node_of.get(call_id, "")
        missing = [
            call_id
            for call_id in self.calls
            if call_id not in told and self._touched.get(call_id, _NEVER) < asked - NEW_CALL_GRACE
        ]
        gone = [call_id for call_id in missing if not self._tolerate_missing(call_id, answer)]
        for call_id in gone:
            self._forget(call_id)
        return CallsDiff(changed, gone)

    def _tolerate_missing(self, call_id: str, answer: ChannelReport) -> bool:
        """Whether a call that is missing may live, because the node that knew it did not answer in time."""
        node, count = self._node_of.get(call_id), self._missing.get(call_id, 0)
        if not node or node in answer.nodes or count >= MAX_MISSING_REPLIES:
            return False
        self._missing[call_id] = count + 1
        return True

    def _reconcile(self, call_id: str, channel: Channel, asked: float) -> Call:
        old = self.calls.get(call_id)
        if old is not None and self._touched.get(call_id, _NEVER) >= asked:
            return {**from_channel(self.account_id, channel), **old}
        return apply_reply(self.account_id, old, channel)

    def _put(self, call: Call) -> list[Call]:
        call_id = call["call_id"]
        old = self.calls.get(call_id)
        if old is None and len(self.calls) >= MAX_CALLS:
            self._touched.pop(call_id, None)
            self._node_of.pop(call_id, None)
            if not self._full:
                _log.warn(
                    "account {account_id} has more than {count} live calls: no more are shown",
                    account_id=self.account_id,
                    count=MAX_CALLS,
                )
            self._full = True
            return []
        self.calls[call_id] = call
        return [] if call == old else [call]

    def _leave_slot(self, slot: object) -> list[Call]:
        """Who retrieves a call tells of it under an id of their own."""
        parked = [
            call for call in self.calls.values() if slot is not None and call.get("parking_slot") == slot
        ]
        return [changed for call in parked for changed in self._put(unparked(call))]

    def _end(self, call_id: str, now: float) -> CallsDiff:
        self._ended.pop(call_id, None)
        self._ended[call_id] = now
        if len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]
        known = call_id in self.calls
        self._forget(call_id)
        return CallsDiff(removed=[call_id] if known else [])

    def _forget(self, call_id: str) -> None:
        for kept in (self.calls, self._touched, self._node_of, self._missing):
            kept.pop(call_id, None)

    def _forget_ended(self, now: float) -> None:
        for call_id, moment in list(self._ended.items()):
            if now - moment <= ENDED_TTL:
                return
            del self._ended[call_id]
