"""From an event on the bus to its deliveries; the broker is answered when the last of them has ended."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import IDirectory, IEventCategory, Occurrence, StorageUnavailable, Topic, Unfinished
from kazoo_bridge.kazoo import Event
from kazoo_bridge.webhooks.deliveries import delivery_of
from kazoo_bridge.webhooks.dispatcher import Dispatcher
from kazoo_bridge.webhooks.document import InvalidDocument
from kazoo_bridge.webhooks.hook import Hook
from kazoo_bridge.webhooks.registry import HookRegistry

_log = Logger()

_COMPLAIN_EVERY = 60.0


def webhook_topics(categories: Iterable[IEventCategory]) -> frozenset[Topic]:
    """Everything that the hooks of these categories need to hear."""
    return frozenset(topic for category in categories for hook in category.hooks for topic in category.topics(hook.id))


def event_id(event: Event) -> str:
    """An id that the same message has again when the broker hands it out again."""
    digest = hashlib.sha256(b"\0".join((event.exchange.encode(), event.routing_key.encode("utf-8", "replace"), event.raw)))
    return f"msg_{digest.hexdigest()[:32]}"


@define
class _Tally:
    """Counts something that may happen thousands of times a second, and logs it once a minute."""

    _clock: IReactorTime
    _complaint: str
    total: int = 0
    _complained: float | None = None

    def count(self, example: str) -> None:
        self.total += 1
        now = self._clock.seconds()
        if self._complained is None or now - self._complained >= _COMPLAIN_EVERY:
            _log.warn("{complaint}: {count} so far, the latest {example}", complaint=self._complaint, count=self.total, example=example)
            self._complained = now


@define
class Intake:
    """The bus's handler for webhooks."""

    _clock: IReactorTime
    _directory: IDirectory
    _registry: HookRegistry
    _dispatcher: Dispatcher
    _categories: dict[str, list[IEventCategory]] = field(factory=dict)
    _homeless: _Tally = field(init=False)
    _unknown: _Tally = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._homeless = _Tally(self._clock, "events without an account reach no hook")
        self._unknown = _Tally(self._clock, "events of accounts that the directory does not know reach no hook")

    def serve(self, categories: Sequence[IEventCategory]) -> None:
        """Read events with these categories from now on."""
        self._categories = {}
        for topic in webhook_topics(categories):
            self._categories.setdefault(topic.exchange, [])
        for category in categories:
            for exchange in {topic.exchange for topic in webhook_topics([category])}:
                self._categories[exchange].append(category)

    def handle(self, event: Event) -> Deferred[None] | None:
        """Start whatever the event asks for; None when nobody wants it, which is the most common case."""
        wanted: list[tuple[Hook, Occurrence]] = []
        for category in self._categories.get(event.exchange, ()):
            for occurrence in self._read(category, event):
                if occurrence.account_id is None:
                    self._homeless.count(event.routing_key)
                    continue
                if occurrence.own_hook is not None:
                    wanted += self._brought(occurrence, occurrence.account_id, event)
                    continue
                ancestors = self._directory.ancestors(occurrence.account_id)
                if ancestors is None:
                    return Deferred.fromCoroutine(self._handle_unknown_account(event, occurrence.account_id))
                wanted += self._wanting(occurrence, occurrence.account_id, ancestors)
        if not wanted:
            return None
        return self._deliver(wanted, event)

    def _read(self, category: IEventCategory, event: Event) -> list[Occurrence]:
        try:
            return list(category.occurrences(event))
        except Exception:
            # One category's trouble with a message is not the others'.
            _log.failure("event category {name} cannot read {routing_key}", name=category.name, routing_key=event.routing_key)
            return []

    def _wanting(self, occurrence: Occurrence, account_id: str, ancestors: Sequence[str]) -> list[tuple[Hook, Occurrence]]:
        hooks = self._registry.matching(occurrence.hook, account_id, ancestors)
        return [
            (hook, occurrence)
            for hook in hooks
            if hook.wants(occurrence) and (not occurrence.superadmin_only or self._directory.superadmin(hook.account_id))
        ]

    def _brought(self, occurrence: Occurrence, account_id: str, event: Event) -> list[tuple[Hook, Occurrence]]:
        try:
            return [(Hook.brought(account_id, occurrence.hook, occurrence.own_hook or {}), occurrence)]
        except InvalidDocument as error:
            _log.warn(
                "{routing_key} of account {account_id} brings a hook that cannot be used: {errors}",
                routing_key=event.routing_key,
                account_id=account_id,
                errors=error.errors,
            )
            return []

    async def _handle_unknown_account(self, event: Event, account_id: str) -> None:
        """The account's ancestors are not in memory: fetch them, then begin again."""
        try:
            account = await self._directory.account(account_id)
        except StorageUnavailable as error:
            raise Unfinished(f"account {account_id} cannot be looked up: {error}") from None
        if account is None or self._directory.ancestors(account_id) is None:
            self._unknown.count(f"{event.routing_key} of account {account_id}")
            return
        again = self.handle(event)
        if again is not None:
            await again

    def _deliver(self, wanted: list[tuple[Hook, Occurrence]], event: Event) -> Deferred[None]:
        identity, now = event_id(event), self._clock.seconds()
        told: Counter[str] = Counter()
        started = []
        for hook, occurrence in wanted:
            # Categories may make several occurrences of one event for the same hook, and none of them shall pass for a repetition.
            number, told[hook.id] = told[hook.id], told[hook.id] + 1
            delivery = delivery_of(hook, occurrence, f"{identity}.{number}" if number else identity, now)
            started.append(Deferred.fromCoroutine(self._dispatcher.deliver(hook, delivery, redelivered=event.redelivered)))
        return started[0] if len(started) == 1 else Deferred.fromCoroutine(all_of(started))

    @property
    def homeless(self) -> int:
        """How many occurrences named no account."""
        return self._homeless.total

    @property
    def unknown(self) -> int:
        """How many events named an account that the directory does not know."""
        return self._unknown.total


async def all_of(waiting: list[Deferred[None]]) -> None:
    """Wait for every one of them to end, then raise a failure if there was one: `Unfinished` before any other."""
    ended: Any = await DeferredList(waiting, consumeErrors=True)
    failures: list[Failure] = [result for _, result in ended if isinstance(result, Failure)]
    for failure in sorted(failures, key=lambda failure: failure.check(Unfinished) is None):
        failure.raiseException()
