"""The live calls of watched accounts: follows the switch's events, and asks it now and then whether that is right."""

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

#: Seconds between two questions about an account; until one is repeated that a node or all of them did not answer, and one that could
#: not be asked.
REFRESH_INTERVAL = 60.0
SILENCE_TIMEOUT = 10.0
RETRY_INTERVAL = 2.0

#: Seconds between two looks at the bus. It is away for longer when it reconnects.
_POLL_INTERVAL = 0.25

#: Seconds that the first question waits for the broker's word that events are coming.
_BIND_TIMEOUT = 5.0

#: Questions under way at once.
_MAX_QUERIES = 100


@define(eq=False)
class LiveCalls:
    """Pictures of the accounts that somebody watches; of others nothing is kept."""

    _clock: Any
    _bus: IBus
    _channels: ChannelQueries
    _watched: dict[str, WatchedAccount] = field(init=False, factory=dict)
    _consumer: IConsumer | None = field(init=False, default=None)
    _poll_timer: LoopingCall = field(init=False)
    _was_away: bool = field(init=False, default=False)
    _queries: ConcurrencyLimit = field(init=False, factory=lambda: ConcurrencyLimit(_MAX_QUERIES))

    def __attrs_post_init__(self) -> None:
        self._poll_timer = LoopingCall(self._poll)
        self._poll_timer.clock = self._clock

    def __len__(self) -> int:
        """How many accounts are watched."""
        return len(self._watched)

    def start(self) -> None:
        """Have a queue, which is bound to nothing while nobody watches."""
        self._consumer = self._bus.consume(
            Queue(topics=TOPICS if self._watched else frozenset(), acknowledge=False), self.handle
        )

    async def stop(self) -> None:
        """Follow nothing any more; watches that are left hear nothing."""
        for watched in list(self._watched.values()):
            watched.end()
        self._watched.clear()
        if self._poll_timer.running:
            self._poll_timer.stop()
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await consumer.cancel()

    def watch(self, account_id: str, watcher: Callable[[CallChange], None]) -> Watcher:
        """See `ICalls.watch`. The watcher is never called before this returns."""
        watched = self._watched.get(account_id)
        watch = Watcher(watcher, lambda stopped: self._unwatch(account_id, stopped))
        if watched is None:
            if not self._watched:
                self._begin()
            watched = self._watched[account_id] = WatchedAccount(AccountCalls(account_id))
            watched.stale = self._was_away
            watched.next = self._clock.callLater(0, self._query, watched)
        if watched.ready or watched.stale:
            self._clock.callLater(0, watched.send_snapshots)
        watched.watchers.append(watch)
        return watch

    def handle(self, event: Event) -> None:
        """Follow an event, if its account is watched."""
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
            self._end()

    # -- the bus ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._was_away = self._bus.unavailable_reason() is not None
        self._poll_timer.start(_POLL_INTERVAL, now=False)

    def _end(self) -> None:
        self._poll_timer.stop()
        if self._consumer is not None:
            for topic in TOPICS:
                self._consumer.unbind(topic).addErrback(_on_bind_failed, topic)

    def _poll(self) -> None:
        """What happens while the bus is away is not known: say so, and ask about everybody when it is back."""
        away = self._bus.unavailable_reason() is not None
        if away != self._was_away:
            self._was_away = away
            for watched in list(self._watched.values()):
                if away:
                    watched.stale = True
                    watched.send_snapshots()
                else:
                    self._query(watched)

    # -- questions --------------------------------------------------------------------------------

    def _query(self, watched: WatchedAccount) -> None:
        """Ask about an account now; while a question is under way, after that."""
        if watched.querying is not None:
            watched.query_again = True
            return
        if watched.next is not None and watched.next.active():
            watched.next.cancel()
        asking: Deferred[Any] = self._queries.run(lambda: self._reconcile(watched))
        watched.querying = asking
        asking.addErrback(_failed).addCallback(lambda delay: self._on_reply(watched, delay))

    def _on_reply(self, watched: WatchedAccount, delay: float | None) -> None:
        """The question is over; `delay` None: it was given up."""
        watched.querying = None
        if delay is not None and self._watched.get(watched.calls.account_id) is watched:
            again, watched.query_again = watched.query_again, False
            watched.next = self._clock.callLater(0 if again else delay, self._query, watched)

    async def _reconcile(self, watched: WatchedAccount) -> float:
        """Ask, and follow the answer; the seconds until the next question."""
        if not watched.ready:
            await self._bound()
        asked = self._clock.seconds()
        try:
            answer = await self._channels.report_for_account(watched.calls.account_id)
        except BusUnavailable as error:
            _log.debug(
                "the live calls of {account_id} are not known: {reason}",
                account_id=watched.calls.account_id,
                reason=error,
            )
            return RETRY_INTERVAL
        if answer is not None:
            difference = watched.calls.reconcile(answer, asked, self._clock.seconds())
            watched.stale = self._was_away
            watched.notify(difference)
        watched.ready = True
        watched.send_snapshots()
        return SILENCE_TIMEOUT if answer is None or watched.calls.has_unconfirmed else REFRESH_INTERVAL

    async def _bound(self) -> None:
        """Wait until events come in, for the answer could be older than the first of them."""
        if self._consumer is not None:
            binding = [self._consumer.bind(topic).addErrback(_on_bind_failed, topic) for topic in TOPICS]
            bound: Deferred[list[None]] = gatherResults(binding, consumeErrors=True)
            await bound.addTimeout(_BIND_TIMEOUT, self._clock, lambda _, __: [])


def _on_bind_failed(failure: Failure, topic: Topic) -> None:
    failure.trap(BusUnavailable)
    _log.warn("events of {pattern} cannot be had: {reason}", pattern=topic.pattern, reason=failure.value)


def _failed(failure: Failure) -> float | None:
    if failure.check(CancelledError):
        return None
    _log.failure("a question about live calls failed", failure)
    return REFRESH_INTERVAL
