"""Finds the subscriptions that an event matches, at a cost that depends on the matching ones only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from sys import intern
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from attrs import define, field

from kazoo_bridge.interfaces import BindingPlan, IBindingCategory, SubscriberEvent, Topic, TopicFilter
from kazoo_bridge.kazoo import Event
from kazoo_bridge.topics import TopicTable
from kazoo_bridge.websockets.server.frames import EventFrame, event_prefix
from kazoo_bridge.websockets.server.group_feed import GroupFeed
from kazoo_bridge.websockets.subscriptions.event_reading import (
    WaitForOwner,
    for_number_owner,
    never_wait,
    read_events,
)

#: Subscribers of a group from which on they follow a feed.
MIN_FOLLOWERS = 2

#: Topics of single accounts for one kind of event. A broker needs about a millisecond to bind one.
MAX_ACCOUNT_TOPICS = 100


class Subscriber(Protocol):
    """Receives events."""

    def deliver(self, frame: EventFrame) -> None:
        """Receive an event."""

    def follow(self, group: Any) -> bool:
        """Receive the events of the `SubscriptionGroup` by its feed from now on; returns whether it does."""

    def unfollow(self, group: Any) -> None:
        """Receive no events by the group's feed from now on, if it does; those so far keep their order."""


S = TypeVar("S", bound=Subscriber)


class SubscriptionGroup(Generic[S]):
    """The subscribers with the same binding and the same pattern: all of them receive the same frames.

    `subscribed_key` is the binding as clients see it, `pattern` the pattern of its `TopicFilter`,
    `account_id` the account of the subscription (None: all). `segments_of_key` are those of the filter.

    Groups of several subscribers have a `feed`, which most of these follow. All others get each event by
    `Subscriber.deliver`.
    """

    __slots__ = (
        "_individual",
        "_prefixes",
        "account_id",
        "feed",
        "pattern",
        "segments_of_key",
        "subscribed_key",
        "subscribers",
    )

    def __init__(
        self, subscribed_key: str, pattern: str, account_id: str | None, segments_of_key: int = 0
    ) -> None:
        self.subscribed_key = subscribed_key
        self.pattern = pattern
        self.account_id = account_id
        self.segments_of_key = segments_of_key
        self.subscribers: dict[S, None] = {}
        self.feed: GroupFeed | None = None
        #: The subscribers that do not follow the feed; None: all of them.
        self._individual: dict[S, None] | None = None
        #: By what the key of an event begins with.
        self._prefixes: dict[tuple[str, ...], bytes] | None = None

    def add(self, subscriber: S) -> None:
        """Add a subscriber; does nothing if it is one."""
        if subscriber in self.subscribers:
            return
        self.subscribers[subscriber] = None
        if self._individual is not None:
            newcomers = [subscriber]
        elif len(self.subscribers) >= MIN_FOLLOWERS:
            newcomers, self._individual = list(self.subscribers), {}
        else:
            return
        for newcomer in newcomers:
            if not newcomer.follow(self):
                self._individual[newcomer] = None

    def discard(self, subscriber: S) -> None:
        """Remove a subscriber, if it is one."""
        if subscriber in self.subscribers:
            del self.subscribers[subscriber]
            if self._individual is not None:
                subscriber.unfollow(self)
                self._individual.pop(subscriber, None)

    def deliver_to(self, subscriber: S) -> None:
        """Let a subscriber that follows the feed receive each event by `Subscriber.deliver` from now on."""
        subscriber.unfollow(self)
        if self._individual is not None and subscriber in self.subscribers:
            self._individual[subscriber] = None

    def deliver(self, frame: EventFrame) -> None:
        """Send an event to all subscribers."""
        if self._individual is None:
            for subscriber in list(self.subscribers):
                subscriber.deliver(frame)
            return
        if self.feed is not None:
            self.feed.append(frame)
        for subscriber in list(self._individual):
            subscriber.deliver(frame)

    def prefix(self, key: str) -> bytes:
        """Return the beginning of the group's frames for events with that key; it is made once."""
        count = self.segments_of_key
        segments = tuple(key.split(".", count)[:count]) if count else ()
        if self._prefixes is None:
            self._prefixes = {}
        prefix = self._prefixes.get(segments)
        if prefix is None:
            subscription_key = ".".join([*segments, *self.pattern.split(".")[count:]])
            prefix = self._prefixes[segments] = event_prefix(self.subscribed_key, subscription_key)
        return prefix


#: (account id, first word, id() of the category, exchange and patterns of each filter).
StreamId = tuple[str | None, str, int, tuple[str, ...]]


@define(eq=False)
class Subscription:
    """A binding that one client has subscribed to, for an account (None: all).

    `stream` is what its events have in common with those of other spellings of the binding, such as
    ``doc_edited.ANYTHING.user.*``. Spellings that are shown with another first word are other streams, since
    clients look for the one that they have asked for: ``object.doc_edited.user``.
    """

    binding: str
    account_id: str | None
    category: IBindingCategory
    plan: BindingPlan
    stream: StreamId = field(init=False)
    #: The topics that the broker sends for it, filter by filter; set by the index.
    topics: tuple[Topic, ...] = field(init=False, default=())

    @stream.default
    def _stream_of_plan(self) -> StreamId:
        sources: list[str] = []
        for topic_filter in self.plan.filters:
            topic = topic_filter.topic
            sources += (topic.exchange, topic.pattern, topic_filter.pattern)
            sources += [more.pattern for more in topic_filter.more_topics]
        # Thousands of subscriptions have the same first word, and need it once.
        return self.account_id, intern(self.shown.partition(".")[0]), id(self.category), tuple(sources)

    @property
    def shown(self) -> str:
        """The binding as clients see it."""
        return self.plan.shown or self.binding


def topics_of(subscriptions: Iterable[Subscription]) -> list[Topic]:
    """Return the topics that subscriptions in the index need, each once."""
    different = {id(one.topics): one.topics for one in subscriptions}
    return list(dict.fromkeys(topic for topics in different.values() for topic in topics))


def refusals(subscriptions: Iterable[Subscription], problems: Mapping[Topic, str]) -> list[str]:
    """Return a text for the client on each subscription of which a topic has a problem."""
    texts: list[str] = []
    for subscription in subscriptions if problems else ():
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
class _SharedTopics:
    """The topics of `filters` filters that have the same ones."""

    topics: tuple[Topic, ...]
    filters: int = 0


#: A group, and an event as the group receives it.
Match: TypeAlias = tuple[SubscriberEvent, SubscriptionGroup[S]]


@define(eq=False)
class SubscriptionIndex(Generic[S]):
    """The subscriptions of one node; `topics` counts what needs each topic of the broker.

    All filters with the same `TopicFilter.more_topics` need their topics once.

    Beyond `MAX_ACCOUNT_TOPICS` topics of single accounts, further ones use `TopicFilter.all_accounts`.

    `account_for_number` returns the account that owns a telephone number, None if it is unknown.
    """

    _account_for_number: Callable[[str], str | None] = lambda _number: None
    topics: Counter[Topic] = field(init=False, factory=Counter)
    _categories: dict[str, _CategoryIndex[S]] = field(init=False, factory=dict)
    #: The filters with several topics, and their topics, by category, first topic and id() of `more_topics`.
    _shared: dict[tuple[str, Topic, int], _SharedTopics] = field(init=False, factory=dict)
    #: The topics of single accounts in `topics`, by the topic of all accounts that they are part of.
    _account_topics: Counter[Topic] = field(init=False, factory=Counter)
    _by_exchange: dict[str, list[_CategoryIndex[S]]] = field(init=False, factory=dict)
    #: The first subscription of a subscriber to a stream, which receives its events; and the others, if any.
    _first_spellings: dict[tuple[S, StreamId], Subscription] = field(init=False, factory=dict)
    _other_spellings: dict[tuple[S, StreamId], dict[Subscription, None]] = field(init=False, factory=dict)

    def add(self, subscriber: S, subscription: Subscription) -> list[Topic]:
        """Add a subscription; returns the topics that none needed before.

        Of several subscriptions of one subscriber to one stream, only the first receives events.
        """
        key = (subscriber, subscription.stream)
        if self._first_spellings.setdefault(key, subscription) is subscription:
            return self._enter(subscriber, subscription)
        self._other_spellings.setdefault(key, {})[subscription] = None
        return []

    def remove(self, subscriber: S, subscription: Subscription) -> list[Topic]:
        """Remove a subscription that `add` has added; returns the topics that none needs any more.

        The next subscription to the same stream receives its events from now on.
        """
        key = (subscriber, subscription.stream)
        was_first = self._first_spellings[key] is subscription
        others = self._other_spellings.get(key, {})
        if was_first and not others:
            del self._first_spellings[key]
            return self._leave(subscriber, subscription)
        successor = next(iter(others)) if was_first else subscription
        del others[successor]
        if not others:
            del self._other_spellings[key]
        if not was_first:
            return []
        # Entered before the other leaves, so that no topic becomes unused.
        self._first_spellings[key] = successor
        self._enter(subscriber, successor)
        return self._leave(subscriber, subscription)

    def _enter(self, subscriber: S, subscription: Subscription) -> list[Topic]:
        index = self._category_index(subscription.category)
        new_topics: list[Topic] = []
        needed: list[tuple[Topic, ...]] = []
        for topic_filter in subscription.plan.filters:
            identity = (subscription.shown, topic_filter.pattern, subscription.account_id)
            group = index.groups.get(identity)
            if group is None:
                group = SubscriptionGroup(*identity, topic_filter.segments_of_key)
                index.groups[identity] = group
                index.table.add(topic_filter.pattern, group)
            group.add(subscriber)
            if topic_filter.more_topics:
                needed.append(self._share_topics(index, topic_filter, new_topics))
            else:
                topic = self._topic_for(topic_filter)
                needed.append((topic,))
                if self._need(index, topic):
                    new_topics.append(topic)
                    self._count_account_topic(topic_filter, topic, 1)
        # Thousands of subscriptions with the same topics have one tuple of them.
        subscription.topics = needed[0] if len(needed) == 1 else tuple(chain.from_iterable(needed))
        return new_topics

    def _leave(self, subscriber: S, subscription: Subscription) -> list[Topic]:
        index = self._category_index(subscription.category)
        unused_topics: list[Topic] = []
        topics = iter(subscription.topics)
        for topic_filter in subscription.plan.filters:
            identity = (subscription.shown, topic_filter.pattern, subscription.account_id)
            # None for the second of two filters with the same pattern, which share a group.
            group = index.groups.get(identity)
            if group is not None:
                group.discard(subscriber)
                if not group.subscribers:
                    del index.groups[identity]
                    index.table.discard(topic_filter.pattern, group)
            topic = next(topics)
            if topic_filter.more_topics:
                self._unshare_topics(index, topic_filter, unused_topics)
                for _ in topic_filter.more_topics:
                    next(topics)
            elif self._need_no_more(index, topic):
                unused_topics.append(topic)
                self._count_account_topic(topic_filter, topic, -1)
        return unused_topics

    def _share_topics(
        self, index: _CategoryIndex[S], topic_filter: TopicFilter, new_topics: list[Topic]
    ) -> tuple[Topic, ...]:
        """Need the topics of a filter with several of them; adds those that are new to `new_topics`."""
        key = (index.category.name, topic_filter.topic, id(topic_filter.more_topics))
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = _SharedTopics(topic_filter.topics)
            new_topics += [topic for topic in shared.topics if self._need(index, topic)]
        shared.filters += 1
        return shared.topics

    def _unshare_topics(
        self, index: _CategoryIndex[S], topic_filter: TopicFilter, unused_topics: list[Topic]
    ) -> None:
        """Need the topics of a filter no more; adds those that nothing needs to `unused_topics`."""
        key = (index.category.name, topic_filter.topic, id(topic_filter.more_topics))
        shared = self._shared[key]
        shared.filters -= 1
        if not shared.filters:
            del self._shared[key]
            unused_topics += [topic for topic in shared.topics if self._need_no_more(index, topic)]

    def _need(self, index: _CategoryIndex[S], topic: Topic) -> bool:
        """Count a need of a topic; returns whether it is the first one."""
        self._count_exchange(index, topic.exchange, 1)
        self.topics[topic] += 1
        return self.topics[topic] == 1

    def _need_no_more(self, index: _CategoryIndex[S], topic: Topic) -> bool:
        """Undo `_need`; returns whether nothing needs the topic any more."""
        self._count_exchange(index, topic.exchange, -1)
        self.topics[topic] -= 1
        if self.topics[topic]:
            return False
        del self.topics[topic]
        return True

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

    def match(self, event: Event, wait_for_owner: WaitForOwner[Match[S]] = never_wait) -> Iterator[Match[S]]:
        """Yield each group that the event matches, with the event as that group receives it.

        `wait_for_owner` may put off the matching of a number whose owner is not in memory.
        """
        for index in tuple(self._by_exchange.get(event.exchange, ())):
            yield from self._match_in(index, event, read_events(index.category, event), wait_for_owner)

    def _match_in(
        self,
        index: _CategoryIndex[S],
        event: Event,
        read: Iterable[SubscriberEvent],
        wait_for_owner: WaitForOwner[Match[S]] = never_wait,
    ) -> Iterator[Match[S]]:
        for found in read:
            subscriber_event = for_number_owner(found, self._account_for_number)
            if subscriber_event is found and found.called_number is not None and found.for_owner is not None:
                later = partial(self._match_in, index, event, (found,))
                if wait_for_owner(event, found.called_number, later):
                    continue
            account_id = subscriber_event.account_id
            for group in index.table.match(subscriber_event.key):
                if account_id is None or group.account_id is None or account_id == group.account_id:
                    yield subscriber_event, group

    def _category_index(self, category: IBindingCategory) -> _CategoryIndex[S]:
        return self._categories.setdefault(category.name, _CategoryIndex(category))

    def _count_exchange(self, index: _CategoryIndex[S], exchange: str, change: int) -> None:
        index.exchanges[exchange] += change
        indices = self._by_exchange.setdefault(exchange, [])
        if index.exchanges[exchange] and index not in indices:
            indices.append(index)
        elif not index.exchanges[exchange]:
            indices.remove(index)
