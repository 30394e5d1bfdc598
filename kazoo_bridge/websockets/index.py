"""Who wants which events. The cost of an event depends on those who want it, not on those who do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from attrs import define, field
from twisted.logger import Logger

from kazoo_bridge.interfaces import IBindingCategory, Listening, Telling, Topic
from kazoo_bridge.kazoo import Event
from kazoo_bridge.topics import TopicTable
from kazoo_bridge.websockets.frames import EventFrame, event_prefix

_log = Logger()


class Subscriber(Protocol):
    """Somebody who gets events."""

    def deliver(self, frame: EventFrame) -> None:
        """Take an event."""


S = TypeVar("S", bound=Subscriber)


class Stream(Generic[S]):
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
    listening: Listening


@define(eq=False)
class _Shelf(Generic[S]):
    """The streams of one category, and on how many of their sources each exchange comes."""

    category: IBindingCategory
    table: TopicTable[Stream[S]] = field(factory=TopicTable)
    streams: dict[tuple[str, str, str | None], Stream[S]] = field(factory=dict)
    exchanges: Counter[str] = field(factory=Counter)


@define(eq=False)
class SubscriptionIndex(Generic[S]):
    """All subscriptions of one node; `topics` counts how many need each topic of the broker.

    `owner_of` says which account owns a telephone number, where that is known.
    """

    _owner_of: Callable[[str], str | None] = lambda _number: None
    topics: Counter[Topic] = field(init=False, factory=Counter)
    _shelves: dict[str, _Shelf[S]] = field(init=False, factory=dict)
    _by_exchange: dict[str, list[_Shelf[S]]] = field(init=False, factory=dict)

    def add(self, subscriber: S, subscription: Subscription) -> list[Topic]:
        """Let `subscriber` have events; the topics that nobody needed before."""
        shelf = self._shelf(subscription.category)
        fresh: list[Topic] = []
        for source in subscription.listening.sources:
            identity = (subscription.binding, source.pattern, subscription.account_id)
            stream = shelf.streams.get(identity)
            if stream is None:
                stream = shelf.streams[identity] = Stream(*identity)
                shelf.table.add(source.pattern, stream)
            stream.subscribers[subscriber] = None
            self._counted(shelf, source.topic.exchange, 1)
            self.topics[source.topic] += 1
            if self.topics[source.topic] == 1:
                fresh.append(source.topic)
        return fresh

    def remove(self, subscriber: S, subscription: Subscription) -> list[Topic]:
        """Undo `add`; the topics that nobody needs any more."""
        shelf = self._shelf(subscription.category)
        idle: list[Topic] = []
        for source in subscription.listening.sources:
            identity = (subscription.binding, source.pattern, subscription.account_id)
            # Several sources may share a pattern, and so a stream.
            stream = shelf.streams.get(identity)
            if stream is not None:
                stream.subscribers.pop(subscriber, None)
            if stream is not None and not stream.subscribers:
                del shelf.streams[identity]
                shelf.table.discard(source.pattern, stream)
            self._counted(shelf, source.topic.exchange, -1)
            self.topics[source.topic] -= 1
            if not self.topics[source.topic]:
                del self.topics[source.topic]
                idle.append(source.topic)
        return idle

    def match(self, event: Event) -> Iterator[tuple[Telling, Stream[S]]]:
        """The streams that the event belongs to, and how each is told of it."""
        for shelf in tuple(self._by_exchange.get(event.exchange, ())):
            for telling in map(self._owned, _tellings(shelf.category, event)):
                for stream in shelf.table.match(telling.key):
                    if telling.account_id is None or stream.account_id is None or telling.account_id == stream.account_id:
                        yield telling, stream

    def _owned(self, telling: Telling) -> Telling:
        if telling.dialled is None or telling.of_owner is None:
            return telling
        owner = self._owner_of(telling.dialled)
        return telling if owner is None else telling.of_owner(owner)

    def _shelf(self, category: IBindingCategory) -> _Shelf[S]:
        shelf = self._shelves.get(category.name)
        if shelf is None:
            shelf = self._shelves[category.name] = _Shelf(category)
        return shelf

    def _counted(self, shelf: _Shelf[S], exchange: str, change: int) -> None:
        shelf.exchanges[exchange] += change
        shelves = self._by_exchange.setdefault(exchange, [])
        if shelf.exchanges[exchange] and shelf not in shelves:
            shelves.append(shelf)
        elif not shelf.exchanges[exchange]:
            shelves.remove(shelf)


def _tellings(category: IBindingCategory, event: Event) -> list[Telling]:
    try:
        return list(category.tellings(event))
    except Exception:
        _log.failure("category {name} fails on {routing_key}", name=category.name, routing_key=event.routing_key)
        return []
