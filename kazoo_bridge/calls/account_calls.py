"""The live calls of one account, which follow events and are corrected by replies to queries."""

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
    with_state_since,
)
from kazoo_bridge.calls.channel_queries import Channel, ChannelReport, replying_node

_log = Logger()

#: Calls of one account; further ones are not followed.
MAX_CALLS = 10_000

#: Ended calls of one account that are remembered, so that late messages do not bring them back.
MAX_ENDED = 10_000

#: Seconds for which an ended call is remembered.
ENDED_TTL = 120.0

#: Seconds. A call whose last event is younger than this when the query starts may be missing in the replies:
#: nodes learn of a new call one after another.
NEW_CALL_GRACE = 2.0

#: Consecutive reports in which a call may be missing while its node does not reply: a slow node replies to a
#: later query, a dead one never.
MAX_MISSING_REPLIES = 2

_MAX_ID_LENGTH = 512
_NEVER = float("-inf")


@frozen
class CallsDiff:
    """New and changed calls, and the ids of the calls that have ended."""

    changed: Sequence[Call] = ()
    removed: Sequence[str] = ()


_NO_DIFF = CallsDiff()


@define(eq=False)
class AccountCalls:
    """The calls of `account_id` by call id.

    Times are in seconds of one clock that only moves forward.
    """

    account_id: str
    calls: dict[str, Call] = field(init=False, factory=dict)
    #: By call id: the time of its last event.
    _touched: dict[str, float] = field(init=False, factory=dict)
    #: By call id, the first ended first: when it ended.
    _ended: dict[str, float] = field(init=False, factory=dict)
    _full: bool = field(init=False, default=False)
    #: By call id: the node that reported the call last, and how many reports since lack the node's reply.
    _node_of: dict[str, str] = field(init=False, factory=dict)
    _missing: dict[str, int] = field(init=False, factory=dict)

    @property
    def has_unconfirmed(self) -> bool:
        """Whether there are calls whose node has not replied to the last query."""
        return bool(self._missing)

    def apply_event(self, name: str, body: Mapping[str, Any], now: float) -> CallsDiff:
        """Apply an event of the account; `name` is one of `EVENTS`, `body` its message.

        `now` is the time in Unix seconds.
        """
        call_id = body.get("Call-ID")
        if not isinstance(call_id, str) or not 0 < len(call_id) <= _MAX_ID_LENGTH:
            return _NO_DIFF
        if name in END_EVENTS:
            # A call that moves to another switch ends on this one, and continues there.
            return _NO_DIFF if body.get("Channel-Moving") in (True, "true") else self._end(call_id, now)
        if name == CREATED:
            self._ended.pop(call_id, None)
        elif call_id in self._ended:
            return _NO_DIFF
        changed = self._unpark(body.get("Parking-Slot"), now) if name in UNPARK_EVENTS else []
        if name not in UNPARK_EVENTS or call_id in self.calls:
            self._touched[call_id] = now
            self._node_of[call_id] = replying_node(body)
            changed += self._put(apply_event(self.account_id, name, self.calls.get(call_id), body), now)
        else:
            self._touched.pop(call_id, None)
        return CallsDiff(list({call["call_id"]: call for call in changed}.values()))

    def reconcile(self, report: ChannelReport, queried_at: float, now: float) -> CallsDiff:
        """Correct the calls by the report of a query that was sent at `queried_at`.

        Events since then override the report, and ended calls do not come back. `queried_at` and `now` are in
        Unix seconds.
        """
        self._forget_ended(now)
        reported = {
            channel["call_id"]: channel
            for channel in report.channels
            if channel["call_id"] not in self._ended
        }
        changed = [
            call
            for call_id, channel in reported.items()
            for call in self._put(
                self._reconcile(call_id, channel, queried_at), now if call_id in self.calls else None
            )
        ]
        for call_id in reported:
            self._missing.pop(call_id, None)
            if call_id in self.calls:
                self._node_of[call_id] = report.node_of.get(call_id, "")
        missing = [
            call_id
            for call_id in self.calls
            if call_id not in reported and self._touched.get(call_id, _NEVER) < queried_at - NEW_CALL_GRACE
        ]
        gone = [call_id for call_id in missing if not self._tolerate_missing(call_id, report)]
        for call_id in gone:
            self._forget(call_id)
        return CallsDiff(changed, gone)

    def _tolerate_missing(self, call_id: str, report: ChannelReport) -> bool:
        """Whether a missing call may still be live, because its node did not reply."""
        node, count = self._node_of.get(call_id), self._missing.get(call_id, 0)
        if not node or node in report.nodes or count >= MAX_MISSING_REPLIES:
            return False
        self._missing[call_id] = count + 1
        return True

    def _reconcile(self, call_id: str, channel: Channel, queried_at: float) -> Call:
        old = self.calls.get(call_id)
        if old is not None and self._touched.get(call_id, _NEVER) >= queried_at:
            return {**from_channel(self.account_id, channel), **old}
        return apply_reply(self.account_id, old, channel)

    def _put(self, call: Call, now: float | None) -> list[Call]:
        """Keep a call; `now` is when it has changed, None for one that was not known before a reply."""
        call_id = call["call_id"]
        old = self.calls.get(call_id)
        call = with_state_since(old, call, now)
        if old is None and len(self.calls) >= MAX_CALLS:
            self._touched.pop(call_id, None)
            self._node_of.pop(call_id, None)
            if not self._full:
                _log.warn(
                    "too many live calls, not following more account_id={account_id} limit={limit}",
                    account_id=self.account_id,
                    limit=MAX_CALLS,
                )
            self._full = True
            return []
        self.calls[call_id] = call
        return [] if call == old else [call]

    def _unpark(self, slot: object, now: float) -> list[Call]:
        """Unpark the call in `slot`. The event that says so has the call id of the retrieving leg."""
        parked = [
            call for call in self.calls.values() if slot is not None and call.get("parking_slot") == slot
        ]
        return [changed for call in parked for changed in self._put(unparked(call), now)]

    def _end(self, call_id: str, now: float) -> CallsDiff:
        self._ended.pop(call_id, None)
        self._ended[call_id] = now
        if len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]
        known = call_id in self.calls
        self._forget(call_id)
        return CallsDiff(removed=[call_id] if known else [])

    def _forget(self, call_id: str) -> None:
        for by_call_id in (self.calls, self._touched, self._node_of, self._missing):
            by_call_id.pop(call_id, None)

    def _forget_ended(self, now: float) -> None:
        for call_id, ended_at in list(self._ended.items()):
            if now - ended_at <= ENDED_TTL:
                return
            del self._ended[call_id]
