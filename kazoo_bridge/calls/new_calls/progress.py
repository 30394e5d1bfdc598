"""Follows what the switch reports about a new call, until its outcome is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from kazoo_bridge.interfaces import (
    CALL_ANSWERED,
    CALL_FAILED,
    CALL_RINGING,
    CALL_STARTED,
    CALL_UNKNOWN,
    NewCall,
)
from kazoo_bridge.kazoo import Event
from kazoo_bridge.text_sanitizing import text_for_display

_log = Logger()

#: ``Application-Response`` or ``Hangup-Cause`` in ``originate_resp`` of a telephone that was answered.
_SUCCESS = frozenset(("SUCCESS", "NORMAL_CLEARING", "ORIGINATOR_CANCEL"))


_MAX_ID_LENGTH = 256


@define(eq=False)
class NewCallProgress:
    """The state of one new call. `on_outcome` is called with each change after `notify` was called.

    `first_report` fires when the switch has reported something, or the outcome is known.
    """

    call: NewCall
    _on_outcome: Callable[[NewCall], None] | None = None
    first_report: Deferred[None] = field(init=False, factory=Deferred)
    _read: int = field(init=False, default=0)
    _notifying: bool = field(init=False, default=False)

    def on_replies(self, replies: Sequence[Event]) -> bool:
        """Read the new replies, like ``done_when`` of `IBus`; returns whether the outcome is known."""
        for reply in replies[self._read :]:
            self._change(_after_reply(self.call, reply))
        self._read = len(replies)
        return self.call.is_final

    def expire(self) -> None:
        """Note that no further reply can come."""
        if not self.call.is_final:
            reason = "the switch has not reported an outcome in time"
            self._change(evolve(self.call, status=CALL_UNKNOWN, reason=reason))

    def fail(self, reason: str) -> None:
        """Note that the switch cannot be asked any more."""
        if not self.call.is_final:
            self._change(evolve(self.call, status=CALL_UNKNOWN, reason=reason))

    def stop_waiting(self) -> None:
        """Let `first_report` fire without a report."""
        if not self.first_report.called:
            self.first_report.callback(None)

    def notify(self) -> NewCall:
        """Return the present state, and pass on later ones."""
        self._notifying = True
        return self.call

    def _change(self, call: NewCall) -> None:
        changed, self.call = call != self.call, call
        if changed and self._notifying and self._on_outcome is not None:
            try:
                self._on_outcome(call)
            except Exception:
                _log.failure("receiver of an outcome failed command_id={id}", id=call.command_id)
        if changed:
            self.stop_waiting()


def _after_reply(call: NewCall, reply: Event) -> NewCall:
    """Return the call after a reply. Replies are not trusted: unknown ones change nothing."""
    if call.is_final:
        return call
    body = reply.body
    if body.get("Event-Category") == "error":
        return evolve(call, status=CALL_FAILED, reason=_text(body.get("Error-Message")) or "refused")
    match reply.name:
        case "originate_uuid" | "originate_started":
            return evolve(call, status=CALL_RINGING)
        case "originate_resp":
            cause = _text(body.get("Application-Response") or body.get("Hangup-Cause"))
            if cause and cause not in _SUCCESS:
                return evolve(call, status=CALL_FAILED, reason=cause)
            return evolve(call, status=CALL_ANSWERED, call_id=_call_id(body.get("Call-ID")) or call.call_id)
        case "eavesdrop_resp" if body.get("Status") == "started":
            call_id = _call_id(body.get("Eavesdropper-Call-ID")) or call.call_id
            return evolve(call, status=CALL_STARTED, call_id=call_id, call_ids=(call_id,) if call_id else ())
        case "eavesdrop_resp":
            return evolve(call, status=CALL_FAILED, reason=_text(body.get("Error-Msg")) or "refused")
    return call


def _call_id(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= _MAX_ID_LENGTH else None


def _text(value: object) -> str | None:
    """Return a text of the switch's, short enough to be shown; None if there is none."""
    return text_for_display(value) if isinstance(value, str) and value else None
