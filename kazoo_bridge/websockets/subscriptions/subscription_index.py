"""Who wants which events. The cost of an event depends on those who want it, not on those who do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from attrs import define, field
from twisted.logger import Logger

from kazoo_bridge.interfaces import BindingPlan, IBindingCategory, SubscriberEvent, Topic
from kazoo_bridge.kazoo import Event
from kazoo_bridge.topics import TopicTable
from kazoo_bridge.websockets.server.frames import EventFrame, event_prefix

_log = Logger()


class Subscriber(Protocol):
    """Somebody who gets events."""

    def deliver(self, frame: EventFrame) -> None:
        """Take an event."""


S = TypeVar("S", bound=Subscriber)


class SubscriptionGroup(Generic[S]):
    """Everybody who asked for the same binding and listens to the same keys: they all get the same frames."""

    __slots__ = ("account_id", "pattern", "prefix", "subscribed_key", "subscribers")

    def __init__(self, subscribed_key: str, pattern: str, account_id: str | None) -> None:
        self.subscribed_key = subscribed_key
        self.pattern = pattern
        self.account_id = account_id
        self.prefix = event_prefix(subscribed_key, pattern)
        self.subscribers: dict[S, None] = {}


@define(eq=False)
class Subscription:
    """One binding as one client asked for it, for an account (None: all)."""

    binding: str
    account_id: str | None
    category: IBindingCategory
    plan: BindingPlan


@define(eq=False)
class _CategoryIndex(Generic[S]):
    """The streams of one category, and on how many of their sources each exchange comes."""

    category: IBindingCategory
    table: TopicTable[SubscriptionGroup[S]] = field(factory=TopicTable)
    groups: dict[tuple[str, str, str | None], SubscriptionGroup[S]] = field(factory=dict)
    exchanges: Counter[str] = field(factory=Counter)


@define(eq=False)
class SubscriptionIndex(Generic[S]):
    """All subscriptions of one node; `topics` counts how many need each topic of the broker.

    `account_for_number` says which account owns a telephone number, where that is known.
    """

    _account_for_number: Callable[[str], str | None] = lambda _number: None
    topics: Counter[Topic] = field(init=False, factory=Counter)
    _categories: dict[str, _CategoryIndex[S]] = field(init=False, factory=dict)
    _by_exchange: dict[str, list[_CategoryIndex[S]]] = field(init=False, factory=dict)

    def add(self, subscriber: S, subscription: Subscription) -> list[Topic]:
        """Let `subscriber` have events; the topics that nobody needed before."""
        shelf = self._category(subscription.category)
        fresh: list[Topic] = []
        for source in subscription.plan.filters:
            identity = (subscription.binding, source.pattern, subscription.account_id)
            stream = shelf.groups.get(identity)
            if stream is None:
                stream = shelf.groups[identity] = SubscriptionGroup(*identity)
                shelf.table.add(source.pattern, stream)
            stream.subscribers[subscriber] = None
            self._count_topic(shelf, source.topic.exchange, 1)
            self.topics[source.topic] += 1
            if self.topics[source.topic] == 1:
                fresh.append(source.topic)
        return fresh

    def remove(self, subscriber: S, subscription: Subscription) -> list[Topic]:
        """Undo `add`; the topics that nobody needs any more."""
        shelf = self._category(subscription.category)
        idle: list[Topic] = []
        for source in subscription.plan.filters:
            identity = (subscription.binding, source.pattern, subscription.account_id)
            # Several sources may share a pattern, and so a stream.
            stream = shelf.groups.get(identity)
            if stream is not None:
                stream.subscribers.pop(subscriber, None)
            if stream is not None and not stream.subscribers:
                del shelf.groups[identity]
                shelf.table.discard(source.pattern, stream)
            self._count_topic(shelf, source.topic.exchange, -1)
            self.topics[source.topic] -= 1
            if not self.topics[source.topic]:
                del self.topics[source.topic]
                idle.append(source.topic)
        return idle

    def match(self, event: Event) -> Iterator[tuple[SubscriberEvent, SubscriptionGroup[S]]]:
        """The streams that the event belongs to, and how each is told of it."""
        for shelf in tuple(self._by_exchange.get(event.exchange, ())):
            for telling in map(self._for_number_owner, _subscriber_events(shelf.category, event)):
                for stream in shelf.table.match(telling.key):
                    if (
                        telling.account_id is None
                        or stream.account_id is None
                        or telling.account_id == stream.account_id
                    ):
                        yield telling, stream

    def _for_number_owner(self, telling: SubscriberEvent) -> SubscriberEvent:
        if telling.called_number is None or telling.for_owner is None:
            return telling
        owner = self._account_for_number(telling.called_number)
        return telling if owner is None else telling.for_owner(owner)

    def _category(self, category: IBindingCategory) -> _CategoryIndex[S]:
        shelf = self._categories.get(category.name)
        if shelf is None:
            shelf = self._categories[category.name] = _CategoryIndex(category)
        return shelf

    def _count_topic(self, shelf: _CategoryIndex[S], exchange: str, change: int) -> None:
        shelf.exchanges[exchange] += change
        shelves = self._by_exchange.setdefault(exchange, [])
        if shelf.exchanges[exchange] and shelf not in shelves:
            shelves.append(shelf)
        elif not shelf.exchanges[exchange]:
            shelves.remove(shelf)


def _subscriber_events(category: IBindingCategory, event: Event) -> list[SubscriberEvent]:
    try:
        return list(category.subscriber_events(event))
    except Exception:
        _log.failure(
            "category {name} fails on {routing_key}", name=category.name, routing_key=event.routing_key
        )
        return []
