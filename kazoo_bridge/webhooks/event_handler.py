"""From an event on the bus to its deliveries; the broker is answered when the last of them has ended."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import IDirectory, IEventCategory, Occurrence, Requeue, StorageUnavailable, Topic
from kazoo_bridge.kazoo import Event
from kazoo_bridge.log_throttle import LogThrottle
from kazoo_bridge.webhooks.delivery.delivery_factory import make_delivery
from kazoo_bridge.webhooks.delivery.dispatcher import Dispatcher
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_document import InvalidDocument
from kazoo_bridge.webhooks.hooks.registry import HookRegistry

_log = Logger()


def webhook_topics(categories: Iterable[IEventCategory]) -> frozenset[Topic]:
    """Everything that the hooks of these categories need to hear."""
    return frozenset(
        topic for category in categories for hook in category.hooks for topic in category.topics(hook.id)
    )


def event_id(event: Event) -> str:
    """An id that the same message has again when the broker hands it out again."""
    digest = hashlib.sha256(
        b"\0".join((event.exchange.encode(), event.routing_key.encode("utf-8", "replace"), event.raw))
    )
    return f"msg_{digest.hexdigest()[:32]}"


@define
class WebhookEventHandler:
    """The bus's handler for webhooks. `taken` counts events by exchange."""

    _clock: IReactorTime
    _directory: IDirectory
    _registry: HookRegistry
    _dispatcher: Dispatcher
    _categories: dict[str, list[IEventCategory]] = field(factory=dict)
    events: Counter[str] = field(init=False, factory=Counter)
    _without_account: LogThrottle = field(init=False)
    _unknown_account: LogThrottle = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._without_account = LogThrottle(self._clock, self._log_without_account)
        self._unknown_account = LogThrottle(self._clock, self._log_unknown_account)

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
        self.events[event.exchange] += 1
        wanted: list[tuple[Hook, Occurrence]] = []
        unplaced: list[tuple[str, Occurrence]] = []
        for category in self._categories.get(event.exchange, ()):
            for found in self._read(category, event):
                occurrence = found if found.account_id is not None else self._with_number_owner(found)
                account_id = occurrence.account_id
                if account_id is None:
                    self._without_account.count(event.routing_key)
                    continue
                if occurrence.inline_hook is not None:
                    wanted += self._from_inline_hook(occurrence, account_id, event)
                    continue
                ancestors = self._directory.ancestors(account_id)
                if ancestors is None:
                    unplaced.append((account_id, occurrence))
                else:
                    wanted += self._matching(occurrence, account_id, ancestors)
        if unplaced:
            return Deferred.fromCoroutine(self._resolve_then_deliver(unplaced, wanted, event))
        if not wanted:
            return None
        return self._deliver(wanted, event)

    def _read(self, category: IEventCategory, event: Event) -> list[Occurrence]:
        try:
            return list(category.occurrences(event))
        except Exception:
            # One category's trouble with a message is not the others'.
            _log.failure(
                "event category {name} cannot read {routing_key}",
                name=category.name,
                routing_key=event.routing_key,
            )
            return []

    def _with_number_owner(self, occurrence: Occurrence) -> Occurrence:
        """The occurrence with the account that owns the number which was called, where that is known."""
        owner = (
            self._directory.account_for_number(occurrence.called_number)
            if occurrence.called_number is not None
            else None
        )
        if owner is None:
            return occurrence
        return evolve(occurrence, account_id=owner, payload={**occurrence.payload, "account_id": owner})

    def _matching(
        self, occurrence: Occurrence, account_id: str, ancestors: Sequence[str]
    ) -> list[tuple[Hook, Occurrence]]:
        hooks = self._registry.matching(occurrence.hook, account_id, ancestors)
        return [
            (hook, occurrence)
            for hook in hooks
            if hook.matches(occurrence)
            and (not occurrence.superadmin_only or self._directory.is_superadmin(hook.account_id))
        ]

    def _from_inline_hook(
        self, occurrence: Occurrence, account_id: str, event: Event
    ) -> list[tuple[Hook, Occurrence]]:
        try:
            hook = Hook.from_event(account_id, occurrence.hook, occurrence.inline_hook or {})
        except InvalidDocument as error:
            _log.warn(
                "{routing_key} of account {account_id} brings a hook that cannot be used: {errors}",
                routing_key=event.routing_key,
                account_id=account_id,
                errors=error.errors,
            )
            return []
        return [(hook, occurrence)] if hook.matches(occurrence) else []

    async def _resolve_then_deliver(
        self, unplaced: list[tuple[str, Occurrence]], wanted: list[tuple[Hook, Occurrence]], event: Event
    ) -> None:
        """Deliver what is wanted once the ancestors of these accounts, which are not in memory, have been asked for."""
        for account_id, occurrence in unplaced:
            try:
                await self._directory.account(account_id)
            except StorageUnavailable as error:
                raise Requeue(f"nobody can tell who is above account {account_id}: {error}") from None
            ancestors = self._directory.ancestors(account_id)
            if ancestors is None:
                self._unknown_account.count(f"{event.routing_key} of account {account_id}")
            else:
                wanted += self._matching(occurrence, account_id, ancestors)
        if wanted:
            await self._deliver(wanted, event)

    def _deliver(self, wanted: list[tuple[Hook, Occurrence]], event: Event) -> Deferred[None]:
        identity, now = event_id(event), self._clock.seconds()
        told: Counter[str] = Counter()
        started = []
        for hook, occurrence in wanted:
            # Categories may make several occurrences of one event for the same hook, and none of them shall pass for a repetition.
            number, told[hook.id] = told[hook.id], told[hook.id] + 1
            delivery = make_delivery(hook, occurrence, f"{identity}.{number}" if number else identity, now)
            started.append(
                Deferred.fromCoroutine(
                    self._dispatcher.deliver(hook, delivery, redelivered=event.redelivered)
                )
            )
        return started[0] if len(started) == 1 else Deferred.fromCoroutine(gather_all(started))

    def stop(self) -> None:
        """Log what has been counted since the last time; nothing is left to be called later."""
        self._without_account.stop()
        self._unknown_account.stop()

    def _log_without_account(self, _count: int, latest: str) -> None:
        _log.warn(
            "events without an account reach no hook: {count} so far, the latest {latest}",
            count=self.without_account,
            latest=latest,
        )

    def _log_unknown_account(self, _count: int, latest: str) -> None:
        _log.warn(
            "events of accounts that the directory does not know reach no hook: {count} so far, the latest {latest}",
            count=self.unknown_account,
            latest=latest,
        )

    @property
    def without_account(self) -> int:
        """How many occurrences named no account."""
        return self._without_account.total

    @property
    def unknown_account(self) -> int:
        """How many events named an account that the directory does not know."""
        return self._unknown_account.total


async def gather_all(waiting: list[Deferred[None]]) -> None:
    """Wait for every one of them to end, then raise a failure if there was one: `Requeue` before any other."""
    ended: Any = await DeferredList(waiting, consumeErrors=True)
    failures: list[Failure] = [result for _, result in ended if isinstance(result, Failure)]
    for failure in sorted(failures, key=lambda failure: failure.check(Requeue) is None):
        failure.raiseException()
