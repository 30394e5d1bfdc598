"""Finds the subscriptions that an event matches, at a cost that depends on the matching ones only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from attrs import define, field
from twisted.logger import Logger

from kazoo_bridge.interfaces import BindingPlan, IBindingCategory, SubscriberEvent, Topic, TopicFilter
from kazoo_bridge.kazoo import Event
from kazoo_bridge.topics import TopicTable
from kazoo_bridge.websockets.server.frames import EventFrame, event_prefix

_log = Logger()

#: Topics of single accounts for one kind of event. A broker needs about a millisecond to bind one.
MAX_ACCOUNT_TOPICS = 100


class Subscriber(Protocol):
    """Receives events."""

    def deliver(self, frame: EventFrame) -> None:
        """Receive an event."""


S = TypeVar("S", bound=Subscriber)


class SubscriptionGroup(Generic[S]):
    """The subscribers with the same binding and the same pattern: all of them receive the same frames.

    `subscribed_key` is the binding, `pattern` the pattern of its `TopicFilter`, `account_id` the account
    of the subscription (None: all).
    """

    __slots__ = ("_prefix", "account_id", "pattern", "subscribed_key", "subscribers")

    def __init__(self, subscribed_key: str, pattern: str, account_id: str | None) -> None:
        self.subscribed_key = subscribed_key
        self.pattern = pattern
        self.account_id = account_id
        self.subscribers: dict[S, None] = {}
        self._prefix: bytes | None = None

    @property
    def prefix(self) -> bytes:
        """The beginning of the group's frames, made for its first event."""
        if self._prefix is None:
            self._prefix = event_prefix(self.subscribed_key, self.pattern)
        return self._prefix


#: (account id, first word, id() of the category, exchange and patterns of each filter).
StreamId = tuple[str | None, str, int, tuple[str, ...]]


@define(eq=False)
class Subscription:
    """A binding that one client has subscribed to, for an account (None: all).

    `stream` is what its events have in common with those of other spellings of the binding, such as
    ``doc_edited.ANYTHING.user.*``. Spellings that begin with another word are other streams, since clients
    look for the one that they have asked for: ``object.doc_edited.user``.
    """

    binding: str
    account_id: str | None
    category: IBindingCategory
    plan: BindingPlan
    stream: StreamId = field(init=False)
    #: The topics that the broker sends for it, one for each filter; set by the index.
    topics: tuple[Topic, ...] = field(init=False, default=())

    @stream.default
    def _stream_of_plan(self) -> StreamId:
        sources: list[str] = []
        for topic_filter in self.plan.filters:
            topic = topic_filter.topic
            sources += (topic.exchange, topic.pattern, topic_filter.pattern)
        return self.account_id, self.binding.partition(".")[0], id(self.category), tuple(sources)


def topics_of(subscriptions: Iterable[Subscription]) -> list[Topic]:
    """Return the topics that subscriptions in the index need, each once."""
    return list(dict.fromkeys(topic for subscription in subscriptions for topic in subscription.topics))


def refusals(subscriptions: Iterable[Subscription], problems: Mapping[Topic, str]) -> list[str]:
    """Return a text for the client on each subscription of which a topic has a problem."""
    texts = []
    for subscription in subscriptions:
        reason = next((problems[topic] for topic in subscription.topics if topic in problems), None)
        if reason is not None:
            texts.append(f"binding {subscription.binding} is not available: {reason}")
    return texts


@define(eq=False)
class _CategoryIndex(Generic[S]):
    """The subscription groups of one category; `exchanges` counts the topic filters on each exchange."""

    category: IBindingCategory
    table: TopicTable[SubscriptionGroup[S]] = field(factory=TopicTable)
    groups: dict[tuple[str, str, str | None], SubscriptionGroup[S]] = field(factory=dict)
    exchanges: Counter[str] = field(factory=Counter)


@define(eq=False)
class SubscriptionIndex(Generic[S]):
    """The subscriptions of one node; `topics` counts the topic filters that need each topic of the broker.

    Beyond `MAX_ACCOUNT_TOPICS` topics of single accounts, further ones use `TopicFilter.all_accounts`.

    `account_for_number` returns the account that owns a telephone number, None if it is unknown.
    """

    _account_for_number: Callable[[str], str | None] = lambda _number: None
    topics: Counter[Topic] = field(init=False, factory=Counter)
    _categories: dict[str, _CategoryIndex[S]] = field(init=False, factory=dict)
    #: The topics of single accounts in `topics`, by the topic of all accounts that they are part of.
    _account_topics: Counter[Topic] = field(init=False, factory=Counter)
    _by_exchange: dict[str, list[_CategoryIndex[S]]] = field(init=False, factory=dict)
    #: The subscriptions of one subscriber to one stream. Only the first of them receives its events.
    _spellings: dict[tuple[S, StreamId], dict[Subscription, None]] = field(init=False, factory=dict)

    def add(self, subscriber: S, subscription: Subscription) -> list[Topic]:
        """Add a subscription; returns the topics that none needed before.

        Of several subscriptions of one subscriber to one stream, only the first receives events.
        """
        spellings = self._spellings.setdefault((subscriber, subscription.stream), {})
        spellings[subscription] = None
        return self._enter(subscriber, subscription) if len(spellings) == 1 else []

    def remove(self, subscriber: S, subscription: Subscription) -> list[Topic]:
        """Remove a subscription that `add` has added; returns the topics that none needs any more.

        The next subscription to the same stream receives its events from now on.
        """
        spellings = self._spellings[subscriber, subscription.stream]
        was_first = next(iter(spellings)) is subscription
        del spellings[subscription]
        if not was_first:
            return []
        # Entered before the other leaves, so that no topic becomes unused.
        for successor in spellings:
            self._enter(subscriber, successor)
            break
        else:
            del self._spellings[subscriber, subscription.stream]
        return self._leave(subscriber, subscription)

    def _enter(self, subscriber: S, subscription: Subscription) -> list[Topic]:
        index = self._category_index(subscription.category)
        new_topics: list[Topic] = []
        subscription.topics = tuple(map(self._topic_for, subscription.plan.filters))
        for topic_filter, topic in zip(subscription.plan.filters, subscription.topics, strict=True):
            identity = (subscription.binding, topic_filter.pattern, subscription.account_id)
            group = index.groups.get(identity)
            if group is None:
                group = index.groups[identity] = SubscriptionGroup(*identity)
                index.table.add(topic_filter.pattern, group)
            group.subscribers[subscriber] = None
            self._count_exchange(index, topic.exchange, 1)
            self.topics[topic] += 1
            if self.topics[topic] == 1:
                new_topics.append(topic)
                self._count_account_topic(topic_filter, topic, 1)
        return new_topics

    def _leave(self, subscriber: S, subscription: Subscription) -> list[Topic]:
        index = self._category_index(subscription.category)
        unused_topics: list[Topic] = []
        for topic_filter, topic in zip(subscription.plan.filters, subscription.topics, strict=True):
            identity = (subscription.binding, topic_filter.pattern, subscription.account_id)
            # None for the second of two filters with the same pattern, which share a group.
            group = index.groups.get(identity)
            if group is not None:
                group.subscribers.pop(subscriber, None)
                if not group.subscribers:
                    del index.groups[identity]
                    index.table.discard(topic_filter.pattern, group)
            self._count_exchange(index, topic.exchange, -1)
            self.topics[topic] -= 1
            if not self.topics[topic]:
                del self.topics[topic]
                unused_topics.append(topic)
                self._count_account_topic(topic_filter, topic, -1)
        return unused_topics

    def _topic_for(self, topic_filter: TopicFilter) -> Topic:
        """Choose the topic of a filter: that of its account, unless there are too many of these."""
        topic, every = topic_filter.topic, topic_filter.all_accounts
        if every is None or topic in self.topics or self._account_topics[every] < MAX_ACCOUNT_TOPICS:
            return topic
        return every

    def _count_account_topic(self, topic_filter: TopicFilter, topic: Topic, change: int) -> None:
        every = topic_filter.all_accounts
        if every is not None and topic != every:
            self._account_topics[every] += change

    def match(self, event: Event) -> Iterator[tuple[SubscriberEvent, SubscriptionGroup[S]]]:
        """Yield each group that the event matches, with the event as that group receives it."""
        for index in tuple(self._by_exchange.get(event.exchange, ())):
            for subscriber_event in map(self._for_number_owner, _subscriber_events(index.category, event)):
                account_id = subscriber_event.account_id
                for group in index.table.match(subscriber_event.key):
                    if account_id is None or group.account_id is None or account_id == group.account_id:
                        yield subscriber_event, group

    def _for_number_owner(self, subscriber_event: SubscriberEvent) -> SubscriberEvent:
        """Re-key an event without an account to the account that owns the called number."""
        if subscriber_event.called_number is None or subscriber_event.for_owner is None:
            return subscriber_event
        owner = self._account_for_number(subscriber_event.called_number)
        return subscriber_event if owner is None else subscriber_event.for_owner(owner)

    def _category_index(self, category: IBindingCategory) -> _CategoryIndex[S]:
        index = self._categories.get(category.name)
        if index is None:
            index = self._categories[category.name] = _CategoryIndex(category)
        return index

    def _count_exchange(self, index: _CategoryIndex[S], exchange: str, change: int) -> None:
        index.exchanges[exchange] += change
        indices = self._by_exchange.setdefault(exchange, [])
        if index.exchanges[exchange] and index not in indices:
            indices.append(index)
        elif not index.exchanges[exchange]:
            indices.remove(index)


def _subscriber_events(category: IBindingCategory, event: Event) -> list[SubscriberEvent]:
    try:
        return list(category.subscriber_events(event))
    except Exception:
        _log.failure(
            "reading an event failed category={category} routing_key={routing_key}",
            category=category.name,
            routing_key=event.routing_key,
        )
        return []
