"""Turns an event into deliveries to hooks; the event is acknowledged when the last of them has ended."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, DeferredLock, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.event_traces import EventTraces
from kazoo_bridge.interfaces import (
    Completion,
    IDirectory,
    IEventCategory,
    Occurrence,
    Requeue,
    StorageUnavailable,
    Topic,
)
from kazoo_bridge.kazoo import Event
from kazoo_bridge.log_throttle import LogThrottle
from kazoo_bridge.webhooks.delivery.dispatcher import Dispatcher, make_delivery
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_document import InvalidDocument
from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from kazoo_bridge.webhooks.occurrence_trace import trace_occurrence
from kazoo_bridge.webhooks.owner_lookup import OwnerLookup

_log = Logger()

#: Deliveries that an event starts at once; of more, the others follow when the reactor has served others.
MAX_STARTED_AT_ONCE = 16

#: A hook, and what it is to receive.
Match = tuple[Hook, Occurrence]


def webhook_topics(categories: Iterable[IEventCategory]) -> frozenset[Topic]:
    """Return the topics that the hooks of these categories need."""
    return frozenset(
        topic for category in categories for hook in category.hooks for topic in category.topics(hook.id)
    )


def event_id(event: Event) -> str:
    """Return an id of the event, made of its exchange, routing key and body: equal for equal messages."""
    digest = hashlib.sha256(
        b"\0".join((event.exchange.encode(), event.routing_key.encode("utf-8", "replace"), event.raw))
    )
    return f"msg_{digest.hexdigest()[:32]}"


def numbered_id(first_id: str, number: int) -> str:
    """Return the id of an event for its occurrence `number` (from 0) for one hook."""
    return f"{first_id}.{number}" if number else first_id


@define(eq=False)
class WebhookEventHandler:
    """The bus's handler of events for webhooks. `categories` interpret the events, `traces` keep them."""

    _clock: IReactorTime
    _directory: IDirectory
    _registry: HookRegistry
    _dispatcher: Dispatcher
    _categories: Sequence[IEventCategory]
    traces: EventTraces = field(factory=EventTraces)
    _by_exchange: dict[str, list[IEventCategory]] = field(init=False)
    #: Events since the start, by exchange.
    events: Counter[str] = field(init=False, factory=Counter)
    #: Events in which a category has found something, by its name, and events that have matched a hook.
    events_by_category: dict[str, int] = field(init=False)
    matched: int = field(init=False, default=0)
    _without_account: LogThrottle = field(init=False)
    _unknown_account: LogThrottle = field(init=False)
    _owners: OwnerLookup = field(init=False)
    _piece: DeferredLock = field(init=False, factory=DeferredLock)

    def __attrs_post_init__(self) -> None:
        self._owners = OwnerLookup(self._clock, self._directory)
        self._by_exchange, self.events_by_category = {}, {}
        self.add_categories(self._categories)
        self._without_account = LogThrottle(self._clock, self._log_without_account)
        self._unknown_account = LogThrottle(self._clock, self._log_unknown_account)

    @property
    def without_account(self) -> int:
        """How many occurrences named no account."""
        return self._without_account.total

    @property
    def unread_owner(self) -> int:
        """How many events reached no hook because the owner of their number could not be read."""
        return self._owners.given_up

    @property
    def unknown_account(self) -> int:
        """How many occurrences named an account that the directory does not know."""
        return self._unknown_account.total

    def handle(self, event: Event) -> Deferred[None] | Completion | None:
        """Start the deliveries of an event.

        Returns None when no hook matches, which is the most common case; else what ends when each delivery is
        accepted by its receiver or stored. It fails with `Requeue` when one is neither.
        """
        self.events[event.exchange] += 1
        # By occurrence: what waits must keep its place, on which ids of deliveries depend.
        parts: list[list[Match]] = []
        occurrences: list[Occurrence] = []
        incomplete: list[_Incomplete] = []
        for category in self._by_exchange.get(event.exchange, ()):
            read = self._read(category, event)
            if read:
                self.events_by_category[category.name] += 1
            for found in read:
                occurrence = found if found.account_id is not None else self._with_number_owner(found)
                account_id = occurrence.account_id
                occurrences.append(occurrence)
                if account_id is None:
                    asking = self._owners.ask(occurrence.called_number)
                    if asking is None:
                        self._without_account.count(event.routing_key)
                        parts.append([])
                        continue
                    incomplete.append(_Incomplete(len(parts), occurrence, asking))
                    parts.append([])
                elif occurrence.inline_hook is not None:
                    parts.append(self._from_inline_hook(occurrence, account_id, event))
                else:
                    ancestors = self._directory.ancestors(account_id)
                    if ancestors is None:
                        incomplete.append(_Incomplete(len(parts), occurrence))
                        parts.append([])
                    else:
                        parts.append(self._matching(occurrence, account_id, ancestors))
        if incomplete:
            return Deferred.fromCoroutine(self._complete_then_deliver(incomplete, occurrences, parts, event))
        if self._owners.returning:
            self._owners.forget(event_id(event))
        return self._deliver(occurrences, parts, event)

    def add_categories(self, categories: Iterable[IEventCategory]) -> None:
        """Let these categories interpret events, too."""
        for category in categories:
            self.events_by_category[category.name] = 0
            for exchange in {topic.exchange for topic in webhook_topics([category])}:
                self._by_exchange.setdefault(exchange, []).append(category)

    def stop(self) -> None:
        """Log the counts that have not been logged, and leave no delayed call."""
        self._without_account.stop()
        self._unknown_account.stop()
        self._owners.stop()

    def _read(self, category: IEventCategory, event: Event) -> list[Occurrence]:
        try:
            return list(category.occurrences(event))
        except Exception:
            # A plugin's defect must not keep the event from other categories.
            _log.failure(
                "reading an event failed category={name} routing_key={routing_key} event_id={event_id}",
                name=category.name,
                routing_key=event.routing_key,
                event_id=event_id(event),
            )
            return []

    def _with_number_owner(self, occurrence: Occurrence) -> Occurrence:
        """Give the occurrence the account that owns the called number, if that is known."""
        number = occurrence.called_number
        owner = self._directory.account_for_number(number) if number is not None else None
        if owner is None:
            return occurrence
        return evolve(occurrence, account_id=owner, payload={**occurrence.payload, "account_id": owner})

    def _matching(self, occurrence: Occurrence, account_id: str, ancestors: Sequence[str]) -> list[Match]:
        hooks = self._registry.matching(occurrence.hook, account_id, ancestors)
        if hooks and occurrence.wants_reseller:
            self._add_reseller(occurrence, account_id)
        return [
            (hook, occurrence)
            for hook in hooks
            if hook.matches(occurrence)
            and (not occurrence.superadmin_only or self._directory.is_superadmin(hook.account_id))
        ]

    def _add_reseller(self, occurrence: Occurrence, account_id: str) -> None:
        reseller_id = self._directory.reseller_of(account_id)
        if reseller_id is not None and isinstance(occurrence.payload, dict):
            occurrence.payload["reseller_id"] = reseller_id

    def _from_inline_hook(self, occurrence: Occurrence, account_id: str, event: Event) -> list[Match]:
        try:
            hook = Hook.from_event(account_id, occurrence.hook, occurrence.inline_hook or {})
        except InvalidDocument as error:
            _log.warn(
                "inline hook is invalid account_id={account_id} routing_key={routing_key} "
                "event_id={event_id} errors={errors}",
                account_id=account_id,
                routing_key=event.routing_key,
                event_id=event_id(event),
                errors=error.errors,
            )
            return []
        return [(hook, occurrence)] if hook.matches(occurrence) else []

    async def _complete_then_deliver(
        self,
        incomplete: list[_Incomplete],
        occurrences: list[Occurrence],
        parts: list[list[Match]],
        event: Event,
    ) -> None:
        """Deliver after the owners and ancestors that are not in memory have been read.

        Raises `Requeue` if they cannot be read.
        """
        with self._dispatcher.busy():
            problems = await gatherResults([one.asking for one in incomplete if one.asking is not None])
            problem = next(filter(None, problems), "")
            if problem and self._owners.may_return(event_id(event), problem):
                raise Requeue(f"the owner of a called number cannot be read: {problem}")
            self._owners.forget(event_id(event))
            for one in incomplete:
                occurrence = one.occurrence
                if occurrence.account_id is None:
                    occurrence = occurrences[one.place] = self._with_number_owner(occurrence)
                parts[one.place] = await self._complete(occurrence, event, unread=bool(problem))
            await when_ended(self._deliver(occurrences, parts, event))

    async def _complete(self, occurrence: Occurrence, event: Event, *, unread: bool) -> list[Match]:
        account_id = occurrence.account_id
        if account_id is None:
            if not unread:
                self._without_account.count(event.routing_key)
            return []
        if occurrence.inline_hook is not None:
            return self._from_inline_hook(occurrence, account_id, event)
        try:
            await self._directory.account(account_id)
        except StorageUnavailable as error:
            raise Requeue(f"the ancestors of account {account_id} cannot be read: {error}") from None
        ancestors = self._directory.ancestors(account_id)
        if ancestors is None:
            self._unknown_account.count(f"{event.routing_key} of account {account_id}")
            return []
        return self._matching(occurrence, account_id, ancestors)

    def _deliver(
        self, occurrences: list[Occurrence], parts: list[list[Match]], event: Event
    ) -> Deferred[None] | Completion | None:
        """Start the deliveries of the matches of each occurrence; None if there is no match."""
        matches = parts[0] if len(parts) == 1 else list(chain.from_iterable(parts))
        first_id = event_id(event) if matches else ""
        if self.traces.enabled:
            kept = tuple(map(trace_occurrence, occurrences, parts)) if occurrences else ()
            self.traces.add(event, first_id, kept)
        if not matches:
            return None
        self.matched += 1
        if len(matches) == 1:
            hook, occurrence = matches[0]
            delivery = make_delivery(hook, occurrence, first_id, self._clock.seconds())
            return self._dispatcher.deliver(hook, delivery, redelivered=event.redelivered)
        starting = self._start(matches, event, first_id)
        if len(matches) > MAX_STARTED_AT_ONCE:
            return Deferred.fromCoroutine(self._deliver_in_pieces(starting, matches))
        return AllEnded(list(starting))

    def _start(self, matches: list[Match], event: Event, first_id: str) -> Iterator[Completion | None]:
        """Start one delivery after another, in the order of `matches`. `first_id`: the event's id."""
        now = self._clock.seconds()
        counts: dict[str, int] = {}
        for hook, occurrence in matches:
            # One event may have several occurrences for a hook: these are no repetitions of each other.
            number = counts.get(hook.id, 0)
            counts[hook.id] = number + 1
            delivery = make_delivery(hook, occurrence, numbered_id(first_id, number), now)
            yield self._dispatcher.deliver(hook, delivery, redelivered=event.redelivered)

    async def _deliver_in_pieces(self, starting: Iterator[Completion | None], matches: list[Match]) -> None:
        """Start the deliveries of an event with many hooks in pieces, one piece of all events at a time.

        In between the reactor serves others, and the first failures can open a circuit.
        """
        # The next event, with fewer hooks, must not pass this one on its way to an ordered hook.
        matches.sort(key=lambda match: not match[0].ordered)
        ordered = sum(hook.ordered for hook, _ in matches)
        started = list(islice(starting, ordered))
        with self._dispatcher.busy():
            while len(started) < len(matches):
                async with self._piece:
                    started += islice(starting, MAX_STARTED_AT_ONCE)
                    await deferLater(self._clock, 0)
        await when_ended(AllEnded(started))

    def _log_without_account(self, _: int, latest: str) -> None:
        _log.warn(
            "events without an account reach no hook count={count} latest={latest}",
            count=self.without_account,
            latest=latest,
        )

    def _log_unknown_account(self, _: int, latest: str) -> None:
        _log.warn(
            "events of unknown accounts reach no hook count={count} latest={latest}",
            count=self.unknown_account,
            latest=latest,
        )


@frozen
class _Incomplete:
    """An occurrence whose hooks are not known yet, and its place among those of the event.

    `asking`: for the owner of its number, see `OwnerLookup.ask`.
    """

    place: int
    occurrence: Occurrence
    asking: Deferred[str] | None = None


class AllEnded:
    """Ends when all of `parts` have: with the first failure, if any, but a `Requeue` before any other."""

    def __init__(self, parts: Sequence[Completion | None]) -> None:
        self._left = 1
        self._failure: Failure | None = None
        self._done: Callable[[Failure | None], None] | None = None
        for part in parts:
            if part is not None:
                self._left += 1
                part.when_done(self._part_done)

    def when_done(self, done: Callable[[Failure | None], None]) -> None:
        """See `Completion`."""
        self._done = done
        self._part_done(None)

    def _part_done(self, failure: Failure | None) -> None:
        if failure is not None and (self._failure is None or self._outranks(failure)):
            self._failure = failure
        self._left -= 1
        if not self._left and self._done is not None:
            self._done(self._failure)

    def _outranks(self, failure: Failure) -> bool:
        return bool(failure.check(Requeue) and self._failure is not None and not self._failure.check(Requeue))


def when_ended(completion: Deferred[None] | Completion | None) -> Deferred[None]:
    """Return a Deferred that ends like `completion`."""
    if isinstance(completion, Deferred):
        return completion
    ended: Deferred[None] = Deferred()
    if completion is None:
        ended.callback(None)
    else:
        completion.when_done(ended.callback)
    return ended
