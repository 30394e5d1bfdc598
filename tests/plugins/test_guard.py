"""A category of somebody else that does everything wrong, at every point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from attrs import define, evolve
from twisted.logger import capturedLogs
from zope.interface import implementer
from zope.interface.verify import verifyObject

from kazoo_bridge.interfaces import (
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
from kazoo_bridge.plugins.validation import InvalidPlugin, validated

HOOK = HookType("h", "n", "d", samples=({"a": 1},))
TOPIC = Topic("callevt", "x.*")
EVENT = Event("callevt", "x.1", {}, b"{}")
SOUND = Occurrence("h", "a" * 32, {})


def given(answer: Any) -> Any:
    """Raise it if it can be raised."""
    if isinstance(answer, BaseException):
        raise answer
    return answer


@implementer(IBindingCategory)
@define
class Category:
    """Answers with whatever it is given."""

    name: Any = "c"
    hooks: Any = (HOOK,)
    of_topics: Any = (TOPIC,)
    of_occurrences: Any = (SOUND,)
    bindings: Any = ("x.y",)
    of_listening: Any = None
    of_tellings: Any = ()

    def topics(self, hook: str) -> Any:
        return given(self.of_topics)

    def occurrences(self, event: Event) -> Any:
        return given(self.of_occurrences)

    def resolve_binding(self, binding: str, account: Any, superadmin: bool, now: float) -> Any:
        return given(self.of_listening)

    def subscriber_events(self, event: Event) -> Any:
        return given(self.of_tellings)


def guard(**answers: Any) -> Any:
    return validated(Category(**answers))


def test_what_is_sound_passes() -> None:
    listening = BindingPlan((TopicFilter(TOPIC, "x.1"),), until=5.0)
    category = guard(of_listening=listening, of_tellings=[SubscriberEvent("x.1", "x.1")])
    assert verifyObject(IBindingCategory, category)
    assert (category.name, category.hooks, category.bindings) == ("c", (HOOK,), ("x.y",))
    assert list(category.topics("h")) == [TOPIC]
    assert list(category.occurrences(EVENT)) == [SOUND]
    assert category.resolve_binding("x.y", None, False, 0.0) is listening
    assert list(category.subscriber_events(EVENT)) == [SubscriberEvent("x.1", "x.1")]


def test_a_category_without_bindings_has_none_behind_the_guard() -> None:
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
    ("answers", "words"),
    [
        ({"name": 3}, "expected str, got int"),
        ({"hooks": 3}, "raised TypeError"),
        ({"hooks": ("h",)}, "expected HookType, got str"),
        ({"hooks": (HookType(3, "n", "d"),)}, "expected str, got int"),
        ({"hooks": (evolve(HOOK, samples=("text",)),)}, "expected Mapping, got str"),
        ({"hooks": (evolve(HOOK, modifiers={"type": {"items": {1, 2}}}),)}, "'h' cannot be written as JSON"),
        ({"hooks": (evolve(HOOK, modifiers=None),)}, "NoneType"),
        ({"of_topics": ()}, "at least one topic"),
        ({"of_topics": ("x.*",)}, "expected Topic, got str"),
        ({"of_topics": (Topic("callevt", "x" * 256),)}, "more than 255 bytes"),
        ({"of_topics": RuntimeError("not\ntoday")}, "raised RuntimeError: not today"),
        ({"of_topics": SystemExit(3)}, "raised SystemExit: 3"),
        ({"bindings": (1,)}, "expected str, got int"),
    ],
)
def test_what_is_no_category_at_all_is_refused_in_words(answers: Mapping[str, Any], words: str) -> None:
    with pytest.raises(InvalidPlugin, match=words):
        guard(**answers)


@pytest.mark.parametrize(
    "answer",
    [
        None, 3, ["text"], [None], [evolve(SOUND, hook="another's")], [evolve(SOUND, hook=[])], [evolve(SOUND, account_id=["a"])],
        [evolve(SOUND, payload="text")], [evolve(SOUND, selectors=None)], [evolve(SOUND, inline_hook="text")],
        [evolve(SOUND, account_id=None, called_number=4722555019)],
        RuntimeError("broken"), SystemExit(1), RecursionError(),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("expected_recursion_errors")
def test_unsound_occurrences_are_none(answer: Any) -> None:
    category = guard(of_occurrences=answer)
    with capturedLogs() as logs:
        assert list(category.occurrences(EVENT)) == []
    assert [(entry["name"], entry["subject"]) for entry in logs] == [("c", "x.1")]


@pytest.mark.parametrize(
    "answer",
    [
        3,
        ["text"],
        [SubscriberEvent(1, "x")],
        [SubscriberEvent("x", "x", 5)],
        RuntimeError("broken"),
        SystemExit(1),
    ],
)  # type: ignore[arg-type]
def test_unsound_tellings_are_none(answer: Any) -> None:
    category = guard(of_tellings=answer)
    with capturedLogs() as logs:
        assert list(category.subscriber_events(EVENT)) == []
    assert len(logs) == 1


@pytest.mark.parametrize(
    "answer",
    [
        3,
        BindingPlan((TOPIC,)),
        BindingPlan((TopicFilter("callevt", "x"),)),
        BindingPlan((), until="soon"),
        RuntimeError("broken"),
        SystemExit(1),
    ],  # type: ignore[arg-type]
)
def test_unsound_listenings_are_none(answer: Any) -> None:
    category = guard(of_listening=answer)
    with capturedLogs() as logs:
        assert category.resolve_binding("x.y", None, False, 0.0) is None
    assert [entry["subject"] for entry in logs] == ["x.y"]


def test_a_refusal_is_passed_on() -> None:
    with pytest.raises(BindingRefused, match="event Z not supported"):
        guard(of_listening=BindingRefused("event Z not supported")).resolve_binding("x.z", None, False, 0.0)


def test_a_flood_of_troubles_is_no_flood_of_lines() -> None:
    category = guard(of_occurrences=RuntimeError("broken"))
    with capturedLogs() as logs:
        for _turn in range(150):
            category.occurrences(EVENT)
    assert [entry["count"] for entry in logs] == [1, 10, 100]
