"""Ask-and-collect: a request goes out, answers come back on ``targeted`` until enough have come or the time is up."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import BusUnavailable, IBus, IConsumer, Queue, Topic
from kazoo_bridge.kazoo import TARGETED, Event, build_request

#: The answers to one question that are collected; with that many it is over.
MAX_REPLIES = 1000
#: Questions that may be open at a time; more are refused.
MAX_PENDING_REQUESTS = 10_000

DoneWhen = Callable[[Sequence[Event]], bool]


@define(eq=False)
class _PendingRequest:
    """A question from the asking to its end, which is when `done` has fired."""

    done_when: DoneWhen | None
    sent: bool = False
    replies: list[Event] = field(factory=list)
    done: Deferred[None] = field(factory=Deferred)

    def add_reply(self, event: Event) -> None:
        if self.done.called:
            return
        self.replies.append(event)
        try:
            finished = len(self.replies) >= MAX_REPLIES or (
                self.done_when is not None and self.done_when(self.replies)
            )
        except Exception:
            self.fail(Failure())
            return
        if finished:
            self.done.callback(None)

    def expire(self, reason: str) -> None:
        """What came by now is the answer; if it was not even sent, that is the trouble."""
        if not self.done.called:
            if self.sent or self.replies:
                self.done.callback(None)
            else:
                self.done.errback(BusUnavailable(reason))

    def abort(self, reason: str) -> None:
        """No more answers can come."""
        if not self.replies:
            self.fail(Failure(BusUnavailable(reason)))
        self.expire(reason)

    def fail(self, failure: Failure) -> None:
        if not self.done.called:
            self.done.errback(failure)


class RequestReplyClient:
    """Keeps the questions that are open on one bus; the queue for answers is made with the first question."""

    def __init__(self, clock: IReactorTime, bus: IBus) -> None:
        self._clock = clock
        self._bus = bus
        self._server_id = f"kazoo_bridge-answers-{secrets.token_hex(12)}"
        self._pending: dict[str, _PendingRequest] = {}
        self._consumer: IConsumer | None = None

    def request(
        self,
        exchange: str,
        routing_key: str,
        body: Mapping[str, Any],
        *,
        timeout: float,
        done_when: DoneWhen | None = None,
    ) -> Deferred[list[Event]]:
        """See `IBus.request`. Cancelling the Deferred forgets the question."""
        if len(self._pending) >= MAX_PENDING_REQUESTS:
            return fail(BusUnavailable(f"{MAX_PENDING_REQUESTS} questions wait for answers already"))
        return Deferred.fromCoroutine(self._request(exchange, routing_key, body, timeout, done_when))

    def connection_lost(self) -> None:
        """The connection is gone, and the answers with it: end the questions that were sent, with what came if anything did.

        A question that was not sent yet goes on waiting for the bus until its time is up.
        """
        for question in [question for question in self._pending.values() if question.sent]:
            question.abort("the connection was lost before an answer came")

    def stop(self) -> None:
        """End every question, with what came if anything did. No delayed call is left."""
        for question in list(self._pending.values()):
            question.abort("the bus was stopped before an answer came")

    async def _request(
        self,
        exchange: str,
        routing_key: str,
        body: Mapping[str, Any],
        timeout: float,
        done_when: DoneWhen | None,
    ) -> list[Event]:
        message_id = secrets.token_hex(16)
        question = self._pending[message_id] = _PendingRequest(done_when)
        timer = self._clock.callLater(max(0.0, timeout), lambda: question.expire(self._unsent_reason()))
        sending = Deferred.fromCoroutine(
            self._send(question, exchange, routing_key, self._with_envelope(body, message_id))
        )
        sending.addErrback(question.fail)
        try:
            # Not `sending` first: an answer may be faster than the broker's confirmation.
            await question.done
        finally:
            del self._pending[message_id]
            if timer.active():
                timer.cancel()
            sending.cancel()
        return question.replies

    async def _send(
        self, question: _PendingRequest, exchange: str, routing_key: str, body: Mapping[str, Any]
    ) -> None:
        if self._consumer is None:
            queue = Queue(self._server_id, frozenset({Topic(TARGETED, self._server_id)}), acknowledge=False)
            self._consumer = self._bus.consume(queue, self._on_reply)
        await self._consumer.when_running()
        await self._bus.publish(exchange, routing_key, body)
        question.sent = True

    def _unsent_reason(self) -> str:
        return self._bus.unavailable_reason() or "the question could not be sent in time"

    def _with_envelope(self, body: Mapping[str, Any], message_id: str) -> dict[str, Any]:
        return build_request(body, message_id=message_id, server_id=self._server_id)

    def _on_reply(self, event: Event) -> None:
        question = self._pending.get(event.message_id or "")
        if question is not None:
            question.add_reply(event)
