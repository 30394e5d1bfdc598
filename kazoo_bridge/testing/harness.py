"""Runs one category over events, as a node does, without a node."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import (
    Account,
    BindingRefused,
    IEventCategory,
    Occurrence,
    Topic,
    declared_exchanges,
)
from kazoo_bridge.kazoo import EXCHANGES, Event, normalize_number
from kazoo_bridge.plugins.discovery import built_in_categories
from kazoo_bridge.plugins.legacy import adapt
from kazoo_bridge.plugins.modifier_problems import modifier_problems
from kazoo_bridge.plugins.validation import InvalidPlugin, ValidatedCategory, validated, verify
from kazoo_bridge.testing.bus import FakeBus
from kazoo_bridge.testing.events import EXAMPLE_ACCOUNT
from kazoo_bridge.topics import matches
from kazoo_bridge.websockets.server.frames import EventFrame
from kazoo_bridge.websockets.subscriptions.binding_catalogue import BindingCatalogue
from kazoo_bridge.websockets.subscriptions.fanout import EventFanout
from kazoo_bridge.websockets.subscriptions.subscription_index import Subscription, SubscriptionIndex


@define(eq=False)
class FakeSubscriber:
    """A websocket client with one subscription; `CategoryHarness.subscribe` returns it.

    `topics`: what the node's queue is bound to for the subscription.

    `frames`: the frames that the client has received, decoded from JSON: ``{"action": "event",
    "subscribed_key": …, "subscription_key": …, "name": …, "routing_key": …, "data": …}``.
    """

    topics: Sequence[Topic]
    frames: list[dict[str, Any]] = field(init=False, factory=list)

    def deliver(self, frame: EventFrame) -> None:
        """Receive a frame; the fan-out calls this."""
        self.frames.append(json.loads(frame.text(False)))

    def follow(self, group: object) -> bool:
        """Receive each event by `deliver`: the client has no feed; the index calls this."""
        return False

    def unfollow(self, group: object) -> None:
        """Do nothing, as the client follows no feed; the index calls this."""


class CategoryHarness:
    """Runs a category over events: shows the hooks that it fires, and the frames that its bindings give.

    `category`: the object to test, an `IEventCategory` or `IBindingCategory`.

    `account_for_number`: telephone numbers, as `kazoo_bridge.kazoo.normalize_number` writes them, and the ids
    of the accounts that own them.

    The category is checked like a plugin. What a node would log and leave out raises `InvalidPlugin` here; so
    a test fails where a node would do nothing. `problems` lists it without raising.

    Example::

        harness = CategoryHarness(queue)
        client = harness.subscribe("queue.*")
        (occurrence,) = harness.publish(event)
        assert occurrence.payload["call_id"] == "c1"
        assert client.frames[0]["data"]["call_id"] == "c1"
    """

    def __init__(
        self, category: IEventCategory, *, account_for_number: Mapping[str, str] | None = None
    ) -> None:
        self.bus = FakeBus(exchanges=_exchanges(category))
        self._category = category
        self._failures: list[tuple[str, BaseException]] = []
        owners = account_for_number or {}
        self._index: SubscriptionIndex[Any] = SubscriptionIndex(
            lambda number: owners.get(normalize_number(number) or number)
        )
        self._fanout = EventFanout(Clock(), self.bus, self._index)
        self._fanout.start()

    def problems(self, *events: Event) -> list[str]:
        """List what is wrong with the category; an empty list: nothing was found.

        The list contains why the node would leave the category out, mistakes in the modifiers of its hooks,
        listed bindings that it refuses (those without ``{…}``), and for each event what it does wrong:
        exceptions, values of wrong types, and occurrences of events that no topic of the hook matches.
        """
        try:
            category = self._validated()
        except InvalidPlugin as error:
            return [str(error)]
        problems = [text for hook in category.hooks for text in modifier_problems(hook)]
        for binding in getattr(category, "bindings", ()):
            if "{" not in binding:
                problems += self._binding_problems(category, binding)
        for event in events:
            occurrences = list(category.occurrences(event))
            if hasattr(category, "subscriber_events"):
                category.subscriber_events(event)
            problems += [
                f"{event.routing_key}: no topic of the hook {one.hook!r} matches"
                for one in occurrences
                if not _is_routed(category, one.hook, event)
            ]
        problems += [f"{subject}: {error}" for subject, error in self._failures]
        self._failures.clear()
        return problems

    def publish(self, *events: Event) -> list[Occurrence]:
        """Publish events, one after another, as the switch does.

        Returns the occurrences of all events: the hooks that fire, with their payloads. An event reaches the
        hooks only if one of the category's topics matches its routing key. Subscribers of `subscribe`
        receive their frames before the method returns.

        Raises `InvalidPlugin`.
        """
        category = self._validated()
        occurrences: list[Occurrence] = []
        for event in events:
            if any(_is_routed(category, hook.id, event) for hook in category.hooks):
                occurrences += category.occurrences(event)
            self.bus.deliver(event)
        self._raise_failures()
        return occurrences

    def subscribe(
        self,
        binding: str,
        account: Account | None = EXAMPLE_ACCOUNT,
        *,
        superadmin: bool = False,
        now: float = 0.0,
    ) -> FakeSubscriber:
        """Subscribe a websocket client to a binding.

        `account`: the account whose events it subscribes to; None: those of all accounts. `superadmin`: True
        if a super-admin subscribes. `now`: the time, in Unix seconds.

        Raises `BindingRefused` with the text that the client receives, and `InvalidPlugin`.
        """
        category = self._validated()
        catalogue = BindingCatalogue.from_categories([cast(IEventCategory, category)])
        try:
            found, plan = catalogue.resolve(binding, account, superadmin, now)
        finally:
            self._raise_failures()
        subscriber = FakeSubscriber([topic for one in plan.filters for topic in one.topics])
        account_id = None if account is None else account.id
        topics = self._index.add(subscriber, Subscription(binding, account_id, found, plan))
        Deferred.fromCoroutine(self._fanout.bind(topics))
        return subscriber

    def _validated(self) -> ValidatedCategory:
        others = [one for one in _built_in_categories() if one is not self._category]
        category = adapt(self._category)
        verify(category, others)
        return validated(category, lambda _name, subject, error: self._failures.append((subject, error)))

    def _raise_failures(self) -> None:
        if self._failures:
            subject, error = self._failures[0]
            self._failures.clear()
            raise InvalidPlugin(f"{subject}: {type(error).__name__}: {error}") from error

    def _binding_problems(self, category: Any, binding: str) -> list[str]:
        try:
            plan = category.resolve_binding(binding, EXAMPLE_ACCOUNT, False, 0.0)
        except BindingRefused as refusal:
            return [f"{binding}: listed in bindings, but refused: {refusal}"]
        # What has failed is among the failures already.
        return [] if plan is not None or self._failures else [f"{binding}: listed in bindings, but unknown"]


def _exchanges(category: IEventCategory) -> Mapping[str, str]:
    try:
        return {**EXCHANGES, **declared_exchanges(category)}
    except TypeError:
        return EXCHANGES  # reported by `CategoryHarness.problems`


@cache
def _built_in_categories() -> Sequence[IEventCategory]:
    return tuple(built_in_categories())


def _is_routed(category: ValidatedCategory, hook: str, event: Event) -> bool:
    return any(
        topic.exchange == event.exchange and matches(topic.pattern, event.routing_key)
        for topic in category.topics(hook)
    )
