"""Follows the live calls of watched accounts by their events, and reconciles them with queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.calls.account_calls import AccountCalls
from kazoo_bridge.calls.call_state import EVENTS
from kazoo_bridge.calls.channel_queries import ChannelQueries
from kazoo_bridge.calls.concurrency import ConcurrencyLimit
from kazoo_bridge.calls.watchers import WatchedAccount, Watcher
from kazoo_bridge.interfaces import BusUnavailable, CallChange, IBus, IConsumer, Queue, Topic
from kazoo_bridge.kazoo import Event

_log = Logger()

TOPICS = frozenset(Topic("callevt", f"call.{name}.*") for name in EVENTS)

#: Seconds between two queries about an account.
REFRESH_INTERVAL = 60.0

#: Seconds until the next query when not all known nodes have replied.
SILENCE_TIMEOUT = 10.0

#: Seconds until the next query when the bus was unavailable.
RETRY_INTERVAL = 2.0

#: Seconds between two checks of the bus. A reconnection takes longer, so none is missed.
_POLL_INTERVAL = 0.25

#: Seconds that the first query waits for the confirmation of the bindings.
_BIND_TIMEOUT = 5.0

#: Concurrent queries.
_MAX_QUERIES = 100


@define(eq=False)
class LiveCalls:
    """The live calls of the watched accounts. Nothing is kept of other accounts."""

    _clock: Any
    _bus: IBus
    _queries: ChannelQueries
    _watched: dict[str, WatchedAccount] = field(init=False, factory=dict)
    _consumer: IConsumer | None = field(init=False, default=None)
    _poll_timer: LoopingCall = field(init=False)
    _bus_down: bool = field(init=False, default=False)
    _query_limit: ConcurrencyLimit = field(init=False, factory=lambda: ConcurrencyLimit(_MAX_QUERIES))

    def __attrs_post_init__(self) -> None:
        self._poll_timer = LoopingCall(self._poll)
        self._poll_timer.clock = self._clock

    def __len__(self) -> int:
        """Return the number of watched accounts."""
        return len(self._watched)

    def start(self) -> None:
        """Start to consume, in every zone. The queue has no bindings while no account is watched."""
        self._consumer = self._bus.consume(
            Queue(topics=TOPICS if self._watched else frozenset(), acknowledge=False, federated=True),
            self.handle,
        )

    async def stop(self) -> None:
        """Stop to consume, and end the watches without notice."""
        for watched in list(self._watched.values()):
            watched.end()
        self._watched.clear()
        if self._poll_timer.running:
            self._poll_timer.stop()
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await consumer.cancel()

    def watch(self, account_id: str, watcher: Callable[[CallChange], None]) -> Watcher:
        """See `ICalls.watch`. `watcher` is not called before this returns."""
        watched = self._watched.get(account_id)
        watch = Watcher(watcher, on_stopped=lambda stopped: self._unwatch(account_id, stopped))
        if watched is None:
            if not self._watched:
                self._start_polling()
            watched = self._watched[account_id] = WatchedAccount(AccountCalls(account_id))
            watched.stale = self._bus_down
            watched.next = self._clock.callLater(0, self._query, watched)
        if watched.ready or watched.stale:
            self._clock.callLater(0, watched.send_snapshots)
        watched.watchers.append(watch)
        return watch

    def handle(self, event: Event) -> None:
        """Apply an event, if its account is watched."""
        variables = event.body.get("Custom-Channel-Vars")
        account_id = variables.get("Account-ID") if isinstance(variables, dict) else None
        watched = self._watched.get(account_id) if isinstance(account_id, str) else None
        if watched is not None and event.name in EVENTS:
            watched.notify(watched.calls.apply_event(event.name, event.body, self._clock.seconds()))

    def _unwatch(self, account_id: str, watch: Watcher) -> None:
        watched = self._watched.get(account_id)
        if watched is None or watch not in watched.watchers:
            return
        watched.watchers.remove(watch)
        if not watched.watchers:
            del self._watched[account_id]
            watched.end()
        if not self._watched:
            self._unbind()

    # -- the bus ----------------------------------------------------------------------------------

    def _start_polling(self) -> None:
        self._bus_down = self._bus.unavailable_reason() is not None
        self._poll_timer.start(_POLL_INTERVAL, now=False)

    def _unbind(self) -> None:
        self._poll_timer.stop()
        if self._consumer is not None:
            for topic in TOPICS:
                self._consumer.unbind(topic).addErrback(_on_bind_failed, topic)

    def _poll(self) -> None:
        """Mark all calls as stale when the bus disconnects, and query them when it is back."""
        down = self._bus.unavailable_reason() is not None
        if down != self._bus_down:
            self._bus_down = down
            for watched in list(self._watched.values()):
                if down:
                    watched.stale = True
                    watched.send_snapshots()
                else:
                    self._query(watched)

    # -- queries ----------------------------------------------------------------------------------

    def _query(self, watched: WatchedAccount) -> None:
        """Query an account's channels now, or after the running query."""
        if watched.querying is not None:
            watched.query_again = True
            return
        if watched.next is not None and watched.next.active():
            watched.next.cancel()
        querying: Deferred[Any] = self._query_limit.run(lambda: self._reconcile(watched))
        watched.querying = querying
        querying.addErrback(_log_failure).addCallback(lambda delay: self._schedule_next(watched, delay))

    def _schedule_next(self, watched: WatchedAccount, delay: float | None) -> None:
        """Schedule the next query in `delay` seconds; None: the query was cancelled."""
        watched.querying = None
        if delay is not None and self._watched.get(watched.calls.account_id) is watched:
            again, watched.query_again = watched.query_again, False
            watched.next = self._clock.callLater(0 if again else delay, self._query, watched)

    async def _reconcile(self, watched: WatchedAccount) -> float:
        """Query the channels and apply the report; return the seconds until the next query."""
        if not watched.ready:
            await self._bind()
        queried_at = self._clock.seconds()
        try:
            report = await self._queries.report_for_account(watched.calls.account_id)
        except BusUnavailable as error:
            _log.debug(
                "query of live calls failed account_id={account_id} reason={reason}",
                account_id=watched.calls.account_id,
                reason=error,
            )
            return RETRY_INTERVAL
        if report is not None:
            diff = watched.calls.reconcile(report, queried_at, self._clock.seconds())
            watched.reported, watched.stale = True, self._bus_down
            watched.notify(diff)
        elif watched.is_unknown:
            watched.stale = self._bus_down
        watched.ready = True
        watched.send_snapshots()
        return SILENCE_TIMEOUT if report is None or watched.calls.has_unconfirmed else REFRESH_INTERVAL

    async def _bind(self) -> None:
        """Wait until events are bound: the calls could change between the reply and the first event."""
        if self._consumer is not None:
            binding = [self._consumer.bind(topic).addErrback(_on_bind_failed, topic) for topic in TOPICS]
            bound: Deferred[list[None]] = gatherResults(binding, consumeErrors=True)
            await bound.addTimeout(_BIND_TIMEOUT, self._clock, lambda _, __: [])


def _on_bind_failed(failure: Failure, topic: Topic) -> None:
    failure.trap(BusUnavailable)
    _log.warn(
        "binding of call events failed pattern={pattern} reason={reason}",
        pattern=topic.pattern,
        reason=failure.value,
    )


def _log_failure(failure: Failure) -> float | None:
    if failure.check(CancelledError):
        return None
    _log.failure("query of live calls failed", failure)
    return REFRESH_INTERVAL
