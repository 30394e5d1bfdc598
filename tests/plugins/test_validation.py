"""Everything that a category can do wrong is reported, and counts as nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from attrs import Factory, define, evolve
from twisted.logger import capturedLogs
from zope.interface import directlyProvides, implementer
from zope.interface.verify import verifyObject

from kazoo_bridge.interfaces import (
    API_VERSION,
    BindingPlan,
    BindingRefused,
    HookType,
    IBindingCategory,
    IEventCategory,
    Occurrence,
    SubscriberEvent,
    Topic,
    TopicFilter,
)
from kazoo_bridge.kazoo import Event
from kazoo_bridge.plugins.validation import InvalidPlugin, validated, verify

#: Constructors for values of wrong types.
any_hook_type: Any = HookType
any_filter: Any = TopicFilter
any_plan: Any = BindingPlan
any_event: Any = SubscriberEvent
any_evolve: Any = evolve

HOOK = HookType("h", "n", "d", samples=({"a": 1},))
TOPIC = Topic("callevt", "x.*")
EVENT = Event("callevt", "x.1", {}, b"{}")
VALID = Occurrence("h", "a" * 32, {})


def give(result: Any) -> Any:
    """Return the result, or raise it if it is an exception."""
    if isinstance(result, BaseException):
        raise result
    return result


@implementer(IBindingCategory)
@define
class FakeCategory:
    """Returns what it is made with, or raises it."""

    name: Any = "c"
    hooks: Any = (HOOK,)
    topics_result: Any = (TOPIC,)
    occurrences_result: Any = (VALID,)
    bindings: Any = ("x.y",)
    plan_result: Any = None
    events_result: Any = ()
    exchanges: Any = Factory(dict)
    api_version: Any = API_VERSION

    def topics(self, hook: str) -> Any:
        return give(self.topics_result)

    def occurrences(self, event: Event) -> Any:
        return give(self.occurrences_result)

    def resolve_binding(self, binding: str, account: Any, superadmin: bool, now: float) -> Any:
        return give(self.plan_result)

    def subscriber_events(self, event: Event) -> Any:
        return give(self.events_result)


def make_validated(**results: Any) -> Any:
    return validated(FakeCategory(**results))


def test_what_is_valid_passes() -> None:
    plan = BindingPlan((TopicFilter(TOPIC, "x.1", more_topics=(TOPIC,)),), until=5.0)
    category = make_validated(plan_result=plan, events_result=[SubscriberEvent("x.1", "x.1")])
    assert verifyObject(IBindingCategory, category)
    assert (category.name, category.hooks, category.bindings) == ("c", (HOOK,), ("x.y",))
    assert list(category.topics("h")) == [TOPIC]
    assert list(category.occurrences(EVENT)) == [VALID]
    assert category.resolve_binding("x.y", None, False, 0.0) is plan
    assert list(category.subscriber_events(EVENT)) == [SubscriberEvent("x.1", "x.1")]


def verify_and_validate(category: Any, *others: Any) -> None:
    verify(category, others)
    validated(category)


@pytest.mark.parametrize("version", [1, API_VERSION])
def test_exchanges_and_a_known_version_of_the_api_are_accepted(version: int) -> None:
    category = FakeCategory()
    category.exchanges, category.api_version = {"acdc": "topic"}, version
    verify(category, [])
    assert validated(category).exchanges == {"acdc": "topic"}
    assert make_validated().exchanges == {}


@pytest.mark.parametrize("version", [0, API_VERSION + 1, "2", True, None])
def test_another_version_of_the_api_is_refused(version: Any) -> None:
    category = FakeCategory()
    category.api_version = version
    with pytest.raises(InvalidPlugin, match=f"api_version: expected a number from 1 to {API_VERSION}"):
        verify(category, [])


@pytest.mark.parametrize(
    ("exchanges", "reason"),
    [
        ({"acdc": "fanout"}, "exchange 'acdc': expected the type topic or direct, got 'fanout'"),
        ({"acdc": ["topic"]}, "expected the type topic or direct"),
        ({"callevt": "direct"}, "exchange 'callevt' is KAZOO's and has the type topic"),
        ({"amq.topic": "topic"}, "does not begin with 'amq.'"),
        ({"": "topic"}, "a name of 1 to 255 bytes"),
        ({"ä" * 128: "topic"}, "a name of 1 to 255 bytes"),
        ({5: "topic"}, "expected str, got int"),
        (["acdc"], "exchanges raised TypeError"),
        ({"taken": "topic"}, "exchange 'taken' has the type direct for another category"),
    ],
)
def test_exchanges_that_cannot_be_declared_are_refused(exchanges: Any, reason: str) -> None:
    category, other = FakeCategory(), FakeCategory(name="other", hooks=())
    category.exchanges, other.exchanges = exchanges, {"taken": "direct"}
    with pytest.raises(InvalidPlugin, match=re.escape(reason)):
        verify_and_validate(category, other)


def test_a_payload_that_wants_a_reseller_is_its_own() -> None:
    shared = MappingProxyType({"a": 1})
    wanting = evolve(VALID, payload=shared, wants_reseller=True)
    first, second = make_validated(occurrences_result=[wanting, wanting]).occurrences(EVENT)
    assert first.payload == second.payload == {"a": 1}
    assert type(first.payload) is type(second.payload) is dict
    assert first.payload is not second.payload


def test_a_category_without_bindings_has_none_behind_the_make_validated() -> None:
    @implementer(IEventCategory)
    class Plain:
        name = "p"
        hooks = (HOOK,)

        def topics(self, hook: str) -> Any:
            return [TOPIC]

        def occurrences(self, event: Event) -> Any:
            return []

    category = validated(Plain())
    assert verifyObject(IEventCategory, category)
    assert not IBindingCategory.providedBy(category)


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ({"name": 3}, "expected str, got int"),
        ({"hooks": 3}, "raised TypeError"),
        ({"hooks": ("h",)}, "expected HookType, got str"),
        ({"hooks": (any_hook_type(3, "n", "d"),)}, "expected str, got int"),
        ({"hooks": (any_evolve(HOOK, samples=("text",)),)}, "expected Mapping, got str"),
        (
            {"hooks": (any_evolve(HOOK, modifiers={"type": {"items": {1, 2}}}),)},
            "'h' cannot be written as JSON",
        ),
        ({"hooks": (any_evolve(HOOK, modifiers=None),)}, "NoneType"),
        ({"hooks": (any_evolve(HOOK, modifiers={"a": {"items": 5}}),)}, "Mapping, got int"),
        ({"topics_result": ()}, "at least one topic"),
        ({"topics_result": ("x.*",)}, "expected Topic, got str"),
        ({"topics_result": (Topic("callevt", "x" * 256),)}, "more than 255 bytes"),
        ({"topics_result": RuntimeError("not\ntoday")}, "raised RuntimeError: not today"),
        ({"topics_result": SystemExit(3)}, "raised SystemExit: 3"),
        ({"bindings": (1,)}, "expected str, got int"),
    ],
)
def test_an_invalid_manifest_is_refused_with_the_reason(results: Mapping[str, Any], words: str) -> None:
    with pytest.raises(InvalidPlugin, match=words):
        make_validated(**results)


@pytest.mark.parametrize(
    "result",
    [
        None,
        3,
        ["text"],
        [None],
        [any_evolve(VALID, hook="another's")],
        [any_evolve(VALID, hook=[])],
        [any_evolve(VALID, account_id=["a"])],
        [any_evolve(VALID, payload="text")],
        [any_evolve(VALID, selectors=None)],
        [any_evolve(VALID, inline_hook="text")],
        [any_evolve(VALID, addition=1)],
        [any_evolve(VALID, wants_reseller="yes")],
        [any_evolve(VALID, account_id=None, called_number=4722555019)],
        RuntimeError("broken"),
        SystemExit(1),
        RecursionError(),
    ],
)
@pytest.mark.usefixtures("expected_recursion_errors")
def test_invalid_occurrences_count_as_none(result: Any) -> None:
    category = make_validated(occurrences_result=result)
    with capturedLogs() as logs:
        assert list(category.occurrences(EVENT)) == []
    assert [(entry["name"], entry["subject"]) for entry in logs] == [("c", "x.1")]


@pytest.mark.parametrize(
    "result",
    [
        3,
        ["text"],
        [any_event(1, "x")],
        [any_event("x", "x", 5)],
        RuntimeError("broken"),
        SystemExit(1),
    ],
)
def test_invalid_subscriber_events_count_as_none(result: Any) -> None:
    category = make_validated(events_result=result)
    with capturedLogs() as logs:
        assert list(category.subscriber_events(EVENT)) == []
    assert len(logs) == 1


@pytest.mark.parametrize(
    "result",
    [
        3,
        any_plan((TOPIC,)),
        any_plan((any_filter("callevt", "x"),)),
        any_plan((any_filter(TOPIC, "x", "callevt"),)),
        any_plan((any_filter(TOPIC, "x", Topic("configuration", "x.*")),)),
        any_plan((), until="soon"),
        RuntimeError("broken"),
        SystemExit(1),
    ],
)
def test_an_invalid_plan_counts_as_none(result: Any) -> None:
    category = make_validated(plan_result=result)
    with capturedLogs() as logs:
        assert category.resolve_binding("x.y", None, False, 0.0) is None
    assert [entry["subject"] for entry in logs] == ["x.y"]


def test_a_refusal_is_passed_on() -> None:
    with pytest.raises(BindingRefused, match="event Z not supported"):
        make_validated(plan_result=BindingRefused("event Z not supported")).resolve_binding(
            "x.z", None, False, 0.0
        )


def test_the_1st_10th_and_100th_failures_are_logged() -> None:
    category = make_validated(occurrences_result=RuntimeError("broken"))
    with capturedLogs() as logs:
        for _ in range(150):
            category.occurrences(EVENT)
    assert [entry["count"] for entry in logs] == [1, 10, 100]


def test_a_caller_can_receive_the_failures_instead_of_the_log() -> None:
    failures: list[tuple[str, str, str]] = []
    category: Any = validated(
        FakeCategory(occurrences_result=RuntimeError("broken")),
        on_failure=lambda name, subject, error: failures.append((name, subject, str(error))),
    )
    with capturedLogs() as logs:
        assert list(category.occurrences(EVENT)) == []
    assert failures == [("c", "x.1", "broken")]
    assert logs == []


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ({"name": "other"}, "another category is already named 'other'"),
        ({"hooks": (any_evolve(HOOK, id="o"),)}, "hook id 'o' belongs to another category"),
        ({"hooks": (any_evolve(HOOK, id="all"),)}, "the hook id 'all' means many hooks"),
        ({"hooks": (any_evolve(HOOK, id="everything"),)}, "the hook id 'everything' means many hooks"),
        ({"hooks": (any_evolve(HOOK, aliases={"all": {}}),)}, "the hook id 'all' means many hooks"),
        ({"hooks": 3}, "reading its name, hooks and exchanges raised TypeError"),
    ],
)
def test_a_name_or_hook_id_that_is_taken_is_refused(results: Mapping[str, Any], words: str) -> None:
    other = FakeCategory(name="other", hooks=(any_evolve(HOOK, id="o"),))
    with pytest.raises(InvalidPlugin, match=words):
        verify(FakeCategory(**results), [other])


def test_a_category_that_lacks_a_method_is_refused() -> None:
    class Incomplete:
        name = "incomplete"
        hooks = ()

        def topics(self, hook: str) -> list[Topic]:
            return []

    incomplete: Any = Incomplete()
    directlyProvides(incomplete, IEventCategory)
    with pytest.raises(InvalidPlugin, match="occurrences"):
        verify(incomplete, [])
    # What it lacks is another version's.
    incomplete.api_version = API_VERSION + 1
    with pytest.raises(InvalidPlugin, match="written for another version"):
        verify(incomplete, [])
