from __future__ import annotations

from kazoo_bridge.interfaces import (
    BindingPlan,
    HookType,
    IBindingCategory,
    IEventCategory,
    Occurrence,
    SubscriberEvent,
    Topic,
    TopicFilter,
)


def test_a_category_with_bindings_is_a_category() -> None:
    assert IBindingCategory.isOrExtends(IEventCategory)
    assert {"topics", "occurrences", "resolve_binding", "subscriber_events"} <= set(
        IBindingCategory.names(all=True)
    )


def test_values_do_not_share_their_defaults() -> None:
    first, second = HookType("a", "n", "d"), HookType("b", "n", "d")
    assert first.modifiers is not second.modifiers
    assert Occurrence("h", None, {}).selectors is not Occurrence("h", None, {}).selectors


def test_subscriber_events_are_equal_whatever_makes_the_one_for_the_owner() -> None:
    event = SubscriberEvent("k", "k", for_owner=lambda account_id: SubscriberEvent(account_id, "k"))
    assert event == SubscriberEvent("k", "k")


def test_plans_are_values() -> None:
    topic = Topic("callevt", "call.#")
    assert BindingPlan((TopicFilter(topic, "k"),)) == BindingPlan((TopicFilter(topic, "k"),), None)
    assert BindingPlan((TopicFilter(topic, "k"),)) != BindingPlan((TopicFilter(topic, "k"),), 1.0)
