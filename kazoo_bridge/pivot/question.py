"""One request of KAZOO while it waits for the answer of a client."""

from __future__ import annotations

from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from kazoo_bridge.interfaces import AnswerRefused, PivotAnswer, UnknownPivotRequest
from kazoo_bridge.kazoo import build_envelope
from kazoo_bridge.pivot.call_parameters import CallParameters
from kazoo_bridge.pivot.flow_validation import validate_flow, validate_twiml
from kazoo_bridge.pivot.point import PivotPoint
from kazoo_bridge.schema_errors import field_error

#: Outcomes of requests: a client has answered, or the fallback was used, because no client was connected, the
#: time was over, the pivot point is disabled, the account has too many requests under way, or the node stops.
#: `GONE`: KAZOO has closed the connection before the end, and gets nothing.
ANSWERED, NO_CLIENT, TIMEOUT, DISABLED, BUSY, STOPPED, GONE = (
    "answered",
    "no_client",
    "timeout",
    "disabled",
    "busy",
    "stopped",
    "gone",
)

#: Every outcome.
OUTCOMES = (ANSWERED, NO_CLIENT, TIMEOUT, DISABLED, BUSY, STOPPED, GONE)


@frozen(order=True)
class ClientAddress:
    """A client of a node: the node's id, and the client's on that node."""

    node: str
    client: str


@frozen
class PivotOutcome:
    """The end of a request. `answer` is None unless the outcome is `ANSWERED`."""

    kind: str
    answer: PivotAnswer | None = None
    answered_from: ClientAddress | None = None


@define(eq=False)
class Question:
    """A request that waits, at most for the time of its pivot point.

    `id` is the ``pivot_id``. `asked` are the clients that have received it. `done` fires with the
    `PivotOutcome`.
    """

    _clock: IReactorTime
    id: str
    point: PivotPoint
    call: CallParameters
    own_modules: tuple[str, ...] = ()
    asked: set[ClientAddress] = field(init=False, factory=set)
    done: Deferred[PivotOutcome] = field(init=False, factory=Deferred)
    _deadline: float = field(init=False)
    _timer: IDelayedCall = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._deadline = self._clock.seconds() + self.point.timeout
        self._timer = self._clock.callLater(self.point.timeout, self.give_up, TIMEOUT)

    @property
    def remaining(self) -> float:
        """The seconds in which an answer still counts."""
        return max(0.0, self._deadline - self._clock.seconds())

    def to_event(self) -> dict[str, Any]:
        """Return the event ``pivot_request`` as clients receive it, with KAZOO's key names."""
        return {
            **self.call.values,
            **build_envelope("pivot", "pivot_request"),
            "Account-ID": self.point.account_id,
            "Pivot-ID": self.id,
            "Pivot-Name": self.point.name,
            "Answer-Within-MS": int(self.remaining * 1000),
        }

    def answer(self, answer: PivotAnswer, source: ClientAddress) -> None:
        """End the request with the answer of a client.

        Raises `AnswerRefused` for an answer that KAZOO could not use; the request then goes on waiting.
        Raises `UnknownPivotRequest` if it has ended.
        """
        if self.done.called:
            raise UnknownPivotRequest(self.id)
        self._validate(answer)
        self._finish(PivotOutcome(ANSWERED, answer, source))

    def give_up(self, kind: str) -> None:
        """End the request without an answer, if it has not ended."""
        if not self.done.called:
            self._finish(PivotOutcome(kind))

    def close(self) -> None:
        """Leave no delayed call."""
        if self._timer.active():
            self._timer.cancel()

    def _finish(self, outcome: PivotOutcome) -> None:
        self.close()
        self.done.callback(outcome)

    def _validate(self, answer: PivotAnswer) -> None:
        if (answer.flow is None) == (answer.twiml is None):
            message = "expected either a flow or twiml"
            raise AnswerRefused(field_error("flow", "required", message))
        if answer.flow is not None:
            errors = validate_flow(answer.flow, self.own_modules)
        elif self.call.wants_twiml:
            errors = validate_twiml(answer.twiml)
        else:
            message = "KAZOO has not asked for TwiML: answer with a flow"
            errors = field_error("twiml", "additionalProperties", message)
        if errors:
            raise AnswerRefused(errors)
