from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from attrs import define, field
from twisted.logger import capturedLogs
from zope.interface import implementer
from zope.interface.verify import verifyObject

from kazoo_bridge.interfaces import (
    Account,
    BindingPlan,
    HookType,
    IBindingCategory,
    Occurrence,
    SubscriberEvent,
    Topic,
    TopicFilter,
)
from kazoo_bridge.kazoo import Event
from kazoo_bridge.websockets.subscriptions.subscription_index import (
    MAX_ACCOUNT_TOPICS,
    Subscription,
    SubscriptionIndex,
)

PARENT, CHILD = "a" * 32, "b" * 32


@implementer(IBindingCategory)
@define(eq=False)
class FakeCategory:
    """A category that turns every event into the `SubscriberEvent`s given."""

    name: str = "fake"
    subscriber: list[SubscriberEvent] = field(factory=list)
    hooks: Sequence[HookType] = ()
    bindings: Sequence[str] = ()
    failing: bool = False

    def topics(self, hook: str) -> Iterable[Topic]:
        return ()

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        return ()

    def resolve_binding(
        self, binding: str, account: Account | None, superadmin: bool, now: float
    ) -> BindingPlan | None:
        return None

    def subscriber_events(self, event: Event) -> Iterable[SubscriberEvent]:
        if self.failing:
            raise RuntimeError("a fault of the category")
        return self.subscriber


class Named(str):
    """A subscriber that follows no feed."""

    def follow(self, group: Any) -> bool:
        return False

    def unfollow(self, group: Any) -> None:
        """It follows none."""


def subscription(
    category: Any, *filters: tuple[str, str], binding: str = "b", account_id: str | None = PARENT
) -> Subscription:
    """A subscription with filters of (pattern of the topic, pattern of the filter) on the exchange ``e``."""
    plan = BindingPlan(tuple(TopicFilter(Topic("e", topic), pattern) for topic, pattern in filters))
    return Subscription(binding, account_id, category, plan)


def make_index(**numbers: str) -> SubscriptionIndex[Any]:
    return SubscriptionIndex(numbers.get)


def matches(index: SubscriptionIndex[Any], exchange: str = "e") -> list[tuple[str, list[Any]]]:
    """(key, subscribers) of each group that an event matches."""
    found = index.match(Event(exchange, "routing.key", {}, b""))
    return [(subscriber_event.key, list(group.subscribers)) for subscriber_event, group in found]


def test_the_fake_is_a_category() -> None:
    assert verifyObject(IBindingCategory, FakeCategory())


class TestTopics:
    def test_only_the_first_and_the_last_subscription_change_the_topics(self) -> None:
        index, category = make_index(), FakeCategory()
        one = subscription(category, ("t1", "p"), ("t2", "q"))
        two = subscription(category, ("t1", "p"))
        assert index.add(Named("x"), one) == [Topic("e", "t1"), Topic("e", "t2")]
        assert index.add(Named("y"), two) == []
        assert index.topics == {Topic("e", "t1"): 2, Topic("e", "t2"): 1}
        assert index.remove(Named("x"), one) == [Topic("e", "t2")]
        assert index.topics == {Topic("e", "t1"): 1}
        assert index.remove(Named("y"), two) == [Topic("e", "t1")]
        assert not index.topics

    def test_two_filters_with_the_same_pattern_are_removed_together(self) -> None:
        index, category = make_index(), FakeCategory(subscriber=[SubscriberEvent("k", "r")])
        both = subscription(category, ("t1", "k"), ("t2", "k"))
        assert index.add(Named("x"), both) == [Topic("e", "t1"), Topic("e", "t2")]
        assert matches(index) == [("k", ["x"])]
        assert index.remove(Named("x"), both) == [Topic("e", "t1"), Topic("e", "t2")]
        assert matches(index) == []

    def test_one_topic_for_two_filters_is_new_once_and_unused_once(self) -> None:
        index, category = make_index(), FakeCategory()
        both = subscription(category, ("t", "p"), ("t", "q"))
        assert index.add(Named("x"), both) == [Topic("e", "t")]
        assert index.remove(Named("x"), both) == [Topic("e", "t")]


class TestSharedTopics:
    """Filters with several topics."""

    more = (Topic("e", "t2"), Topic("f", "t3"))
    every = (Topic("e", "t1"), *more)

    def subscription(self, category: Any, pattern: str, *others: TopicFilter) -> Subscription:
        shared = TopicFilter(Topic("e", "t1"), pattern, more_topics=self.more, segments_of_key=2)
        return Subscription("b", PARENT, category, BindingPlan((shared, *others)))

    def test_the_first_and_the_last_filter_change_the_topics(self) -> None:
        index, category = make_index(), FakeCategory()
        one, two = self.subscription(category, "k.*.1"), self.subscription(category, "k.*.2")
        assert index.add(Named("x"), one) == list(self.every)
        assert index.add(Named("y"), two) == []
        assert one.topics is two.topics
        assert index.remove(Named("x"), one) == []
        assert index.remove(Named("y"), two) == list(self.every)
        assert not index.topics

    def test_beside_other_filters(self) -> None:
        index, category = make_index(), FakeCategory()
        other = TopicFilter(Topic("e", "t4"), "k.1")
        both = self.subscription(category, "k.*.1", other)
        assert index.add(Named("x"), both) == [*self.every, other.topic]
        plain = subscription(category, ("t2", "k.1"))
        assert index.add(Named("y"), plain) == []
        assert index.remove(Named("x"), both) == [self.every[0], self.every[2], other.topic]
        assert index.remove(Named("y"), plain) == [Topic("e", "t2")]
        assert matches(index, "f") == []

    def test_events_of_each_exchange_match_once_and_show_the_key(self) -> None:
        subscriber = [SubscriberEvent("k.created.1", "r"), SubscriberEvent("k.ended.1", "r")]
        index, category = make_index(), FakeCategory(subscriber=subscriber)
        index.add(Named("x"), self.subscription(category, "k.*.*"))
        for exchange in ("e", "f"):
            found = list(index.match(Event(exchange, "routing.key", {}, b"")))
            keys = [group.prefix(subscriber_event.key) for subscriber_event, group in found]
            assert [b'"subscription_key":"k.created.*"' in keys[0], b'"k.ended.*"' in keys[1]] == [True, True]


class TestAccountTopics:
    every = Topic("e", "*.k")

    def subscription(self, account: object) -> Subscription:
        """A subscription to the topic of one account."""
        topic = Topic("e", f"{account}.k")
        plan = BindingPlan((TopicFilter(topic, topic.pattern, self.every),))
        category: Any = FakeCategory(subscriber=[SubscriberEvent("last.k", "r")])
        return Subscription(f"b.{account}", str(account), category, plan)

    def test_the_topics_of_accounts_are_bounded_and_nothing_is_bound_again(self) -> None:
        index = make_index()
        subscriptions = [self.subscription(number) for number in range(MAX_ACCOUNT_TOPICS)]
        for number, one in enumerate(subscriptions):
            assert index.add(Named("x"), one) == [Topic("e", f"{number}.k")]
        last = self.subscription("last")
        assert index.add(Named("x"), last) == [self.every]
        for number in range(5000):
            assert not index.add(Named("x"), self.subscription(f"more{number}"))
        assert len(index.topics) == MAX_ACCOUNT_TOPICS + 1
        assert not index.add(Named("y"), self.subscription(7))
        assert matches(index) == [("last.k", ["x"])]
        assert index.remove(Named("x"), subscriptions[0]) == [Topic("e", "0.k")]
        assert not index.remove(Named("x"), last)
        assert index.add(Named("x"), self.subscription("other")) == [Topic("e", "other.k")]

    def test_the_topic_of_all_accounts_is_unused_after_its_last_subscription(self) -> None:
        index = make_index()
        for number in range(MAX_ACCOUNT_TOPICS):
            index.add(Named("x"), self.subscription(number))
        beyond = [self.subscription(name) for name in "ab"]
        assert [index.add(Named("x"), one) for one in beyond] == [[self.every], []]
        assert [index.remove(Named("x"), one) for one in beyond] == [[], [self.every]]


class TestSpellings:
    def test_only_the_first_of_a_subscriber_receives_events_and_the_next_takes_its_place(self) -> None:
        index, category = make_index(), FakeCategory(subscriber=[SubscriberEvent("k", "r")])
        first, second, third = (
            subscription(category, ("t", "k"), binding=f"doc_edited.{name}.user") for name in "abc"
        )
        assert index.add(Named("x"), first) == [Topic("e", "t")]
        assert not index.add(Named("x"), second) + index.add(Named("x"), third)
        assert self.keys(index) == [("doc_edited.a.user", ["x"])]
        assert not index.remove(Named("x"), first)
        assert self.keys(index) == [("doc_edited.b.user", ["x"])]
        assert not index.remove(Named("x"), third)
        assert self.keys(index) == [("doc_edited.b.user", ["x"])]
        assert index.remove(Named("x"), second) == [Topic("e", "t")]
        assert self.keys(index) == []
        assert index.add(Named("x"), third) == [Topic("e", "t")]

    def test_other_subscribers_other_words_and_other_accounts_are_not_concerned(self) -> None:
        index, category = make_index(), FakeCategory(subscriber=[SubscriberEvent("k", "r")])
        index.add(Named("x"), subscription(category, ("t", "k"), binding="doc_edited.a"))
        index.add(Named("y"), subscription(category, ("t", "k"), binding="doc_edited.b"))
        index.add(Named("x"), subscription(category, ("t", "k"), binding="object.a"))
        index.add(Named("x"), subscription(category, ("t", "k"), binding="doc_edited.c", account_id=CHILD))
        assert self.keys(index) == [
            ("doc_edited.a", ["x"]),
            ("doc_edited.b", ["y"]),
            ("object.a", ["x"]),
            ("doc_edited.c", ["x"]),
        ]

    def keys(self, index: SubscriptionIndex[Any]) -> list[tuple[str, list[Any]]]:
        """(binding, subscribers) of each group that an event matches."""
        found = index.match(Event("e", "routing.key", {}, b""))
        return [(group.subscribed_key, list(group.subscribers)) for _, group in found]


class TestMatch:
    def test_a_group_has_all_subscribers_with_the_same_binding_and_pattern(self) -> None:
        index, category = make_index(), FakeCategory(subscriber=[SubscriberEvent("a.b", "r")])
        for subscriber in "xy":
            index.add(Named(subscriber), subscription(category, ("t", "a.*")))
        index.add(Named("z"), subscription(category, ("t", "a.*"), binding="other"))
        assert matches(index) == [("a.b", ["x", "y"]), ("a.b", ["z"])]

    def test_a_subscriber_that_leaves_does_not_affect_the_others(self) -> None:
        index, category = make_index(), FakeCategory(subscriber=[SubscriberEvent("k", "r")])
        both = subscription(category, ("t", "k"))
        other = subscription(category, ("u", "k"), binding="other")
        for subscriber, subscribed in (("x", both), ("y", both), ("z", other)):
            index.add(Named(subscriber), subscribed)
        index.remove(Named("x"), both)
        assert matches(index) == [("k", ["y"]), ("k", ["z"])]
        index.remove(Named("y"), both)
        assert matches(index) == [("k", ["z"])]

    def test_the_pattern_decides(self) -> None:
        index, category = make_index(), FakeCategory(subscriber=[SubscriberEvent("a.b", "r")])
        index.add(Named("x"), subscription(category, ("t", "a.c")))
        assert matches(index) == []

    def test_events_of_another_exchange_are_not_read(self) -> None:
        index, category = make_index(), FakeCategory(subscriber=[SubscriberEvent("k", "r")])
        index.add(Named("x"), subscription(category, ("t", "k")))
        assert matches(index, "other") == []

    def test_a_category_is_read_as_long_as_it_has_a_subscription_on_the_exchange(self) -> None:
        index, category = make_index(), FakeCategory(subscriber=[SubscriberEvent("k", "r")])
        one, two = subscription(category, ("t", "k")), subscription(category, ("u", "k"))
        index.add(Named("x"), one)
        index.add(Named("x"), two)
        index.remove(Named("x"), one)
        index.add(Named("y"), one)
        assert matches(index) == [("k", ["y"])]
        index.remove(Named("x"), two)
        index.remove(Named("y"), one)
        category.failing = True
        with capturedLogs() as logs:
            assert matches(index) == []
        assert logs == []

    def test_an_event_of_one_account_reaches_that_account_and_all_accounts(self) -> None:
        index = make_index()
        category = FakeCategory(subscriber=[SubscriberEvent("k", "r", account_id=PARENT)])
        for subscriber, account_id in (("own", PARENT), ("other", CHILD), ("all", None)):
            index.add(Named(subscriber), subscription(category, ("t", "k"), account_id=account_id))
        assert matches(index) == [("k", ["own"]), ("k", ["all"])]

    def test_an_event_whose_key_has_the_account_reaches_every_group_that_matches(self) -> None:
        index, category = make_index(), FakeCategory(subscriber=[SubscriberEvent("k", "r")])
        for subscriber, account_id in (("own", PARENT), ("all", None)):
            index.add(Named(subscriber), subscription(category, ("t", "k"), account_id=account_id))
        assert matches(index) == [("k", ["own"]), ("k", ["all"])]

    def test_a_category_that_fails_is_logged_and_disturbs_no_other(self) -> None:
        index = make_index()
        broken, sound = (
            FakeCategory("broken", failing=True),
            FakeCategory("sound", [SubscriberEvent("k", "r")]),
        )
        index.add(Named("x"), subscription(broken, ("t", "k")))
        index.add(Named("x"), subscription(sound, ("t", "k")))
        with capturedLogs() as logs:
            assert matches(index) == [("k", ["x"])]
        assert [event["category"] for event in logs] == ["broken"]


class TestNumbers:
    def rekeyed(self, number: str | None, **numbers: str) -> list[str]:
        """The keys of an event without an account, whose key would contain the owner's account."""
        index = make_index(**numbers)
        category = FakeCategory(
            subscriber=[
                SubscriberEvent(
                    "undefined",
                    "r",
                    called_number=number,
                    for_owner=lambda owner: SubscriberEvent(owner, "r"),
                )
            ]
        )
        index.add(Named("x"), subscription(category, ("t", "*")))
        return [key for key, _ in matches(index)]

    def test_an_event_without_an_account_belongs_to_the_owner_of_the_called_number(self) -> None:
        assert self.rekeyed("4722", **{"4722": PARENT}) == [PARENT]

    def test_an_unknown_or_missing_number_changes_nothing(self) -> None:
        assert self.rekeyed("4723", **{"4722": PARENT}) == ["undefined"]
        assert self.rekeyed(None, **{"4722": PARENT}) == ["undefined"]

    def test_an_event_that_cannot_be_rekeyed_is_not(self) -> None:
        index, event = make_index(**{"4722": PARENT}), SubscriberEvent("k", "r", called_number="4722")
        index.add(Named("x"), subscription(FakeCategory(subscriber=[event]), ("t", "k")))
        assert matches(index) == [("k", ["x"])]

    def test_without_a_directory_of_numbers_nothing_changes(self) -> None:
        index: SubscriptionIndex[Any] = SubscriptionIndex()
        event = SubscriberEvent(
            "k", "r", called_number="1", for_owner=lambda owner: SubscriberEvent(owner, "r")
        )
        index.add(Named("x"), subscription(FakeCategory(subscriber=[event]), ("t", "k")))
        assert matches(index) == [("k", ["x"])]
