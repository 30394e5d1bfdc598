"""Requests and replies: publishes a request and collects its replies from the exchange ``targeted``."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import BusUnavailable, IBus, IConsumer, Queue, Topic
from kazoo_bridge.kazoo import TARGETED, Event, build_request

#: Maximum number of replies to one request; it is done when so many have arrived.
MAX_REPLIES = 1000
#: Maximum number of open requests; more are refused.
MAX_PENDING_REQUESTS = 10_000

DoneWhen = Callable[[Sequence[Event]], bool]


def publish_reply(bus: IBus, request: Event, body: Mapping[str, Any]) -> Deferred[None]:
    """Publish the reply to `request` over `bus`. See `IBus.reply`."""
    if request.server_id is None:
        return fail(ValueError("the request has no Server-ID that a reply could go to"))
    return bus.publish(TARGETED, request.server_id, body)


@define(eq=False)
class _PendingRequest:
    """A request that is not done; `done` fires when it is.

    `published`: it was handed to the bus, so that the connection of the replies matters. `confirmed`: the bus
    has it.
    """

    done_when: DoneWhen | None
    published: bool = False
    confirmed: bool = False
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
        """End with the replies that arrived; fail with `reason` if the request was not even sent."""
        if not self.done.called:
            if self.confirmed or self.replies:
                self.done.callback(None)
            else:
                self.done.errback(BusUnavailable(reason))

    def abort(self, reason: str) -> None:
        """End with the replies that arrived; fail with `reason` without any: no more can arrive."""
        if self.done.called:
            return
        if self.replies:
            self.done.callback(None)
        else:
            self.done.errback(BusUnavailable(reason))

    def fail(self, failure: Failure) -> None:
        if not self.done.called:
            self.done.errback(failure)


class RequestReplyClient:
    """Sends requests over a bus and collects their replies.

    The queue for replies is made with the first request. `when_publishing` returns a Deferred that fires as
    soon as the bus has a connection to publish over; it may be cancelled.
    """

    def __init__(
        self,
        clock: IReactorTime,
        bus: IBus,
        when_publishing: Callable[[], Deferred[None]] = lambda: succeed(None),
    ) -> None:
        self._clock = clock
        self._bus = bus
        self._when_publishing = when_publishing
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
        mandatory: bool = False,
    ) -> Deferred[list[Event]]:
        """See `IBus.request`. Cancelling the Deferred drops the request."""
        if len(self._pending) >= MAX_PENDING_REQUESTS:
            return fail(BusUnavailable(f"{MAX_PENDING_REQUESTS} requests wait for replies already"))
        return Deferred.fromCoroutine(
            self._request(exchange, routing_key, body, timeout, done_when, mandatory)
        )

    def connection_lost(self) -> None:
        """End every published request with the replies that arrived, or `BusUnavailable` without any.

        The broker deletes the queue of the replies with the connection.

        A request that is not published yet continues to wait for the bus until its timeout.
        """
        for pending in [pending for pending in self._pending.values() if pending.published]:
            pending.abort("the connection was lost before a reply arrived")

    def stop(self) -> None:
        """End every request with the replies that arrived, or `BusUnavailable` without any."""
        for pending in list(self._pending.values()):
            pending.abort("the bus was stopped before a reply arrived")

    async def _request(
        self,
        exchange: str,
        routing_key: str,
        body: Mapping[str, Any],
        timeout: float,
        done_when: DoneWhen | None,
        mandatory: bool,
    ) -> list[Event]:
        message_id = secrets.token_hex(16)
        pending = self._pending[message_id] = _PendingRequest(done_when)
        timer = self._clock.callLater(max(0.0, timeout), lambda: pending.expire(self._unsent_reason()))
        sending = Deferred.fromCoroutine(
            self._send(pending, exchange, routing_key, self._with_envelope(body, message_id), mandatory)
        )
        sending.addErrback(pending.fail)
        try:
            # Not `sending` first: a reply may arrive before the broker's confirmation.
            await pending.done
        finally:
            del self._pending[message_id]
            if timer.active():
                timer.cancel()
            sending.cancel()
        return pending.replies

    async def _send(
        self,
        pending: _PendingRequest,
        exchange: str,
        routing_key: str,
        body: Mapping[str, Any],
        mandatory: bool,
    ) -> None:
        if self._consumer is None:
            queue = Queue(self._server_id, frozenset({Topic(TARGETED, self._server_id)}), acknowledge=False)
            self._consumer = self._bus.consume(queue, self._on_reply)
        await self._consumer.when_running()
        # After a loss of both connections either may be back first, and be lost again before the other is.
        while not (publishing := self._when_publishing()).called:
            await publishing
            await self._consumer.when_running()
        pending.published = True
        await self._bus.publish(exchange, routing_key, body, mandatory=mandatory)
        pending.confirmed = True

    def _unsent_reason(self) -> str:
        return self._bus.unavailable_reason() or "the request could not be sent in time"

    def _with_envelope(self, body: Mapping[str, Any], message_id: str) -> dict[str, Any]:
        return build_request(body, message_id=message_id, server_id=self._server_id)

    def _on_reply(self, event: Event) -> None:
        pending = self._pending.get(event.message_id or "")
        if pending is not None:
            pending.add_reply(event)
