"""A plugin of the first release, unchanged, still works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogLevel, capturedLogs
from zope.interface import implementer
from zope.interface.verify import verifyObject

from kazoo_bridge.interfaces import (
    Account,
    BindingPlan,
    BindingRefused,
    IBindingCategory,
    IEventCategory,
    Occurrence,
    SubscriberEvent,
    Topic,
    TopicFilter,
)
from kazoo_bridge.plugins.discovery import find_categories
from kazoo_bridge.plugins.legacy import adapt, former_names_in
from kazoo_bridge.testing import make_event

FIRST_RELEASE = (Path(__file__).parent / "data" / "queue_category_of_first_release.txt").read_text()
ACCOUNT = Account("a" * 32, "Account", "a.example.com")


def load(folder: Path) -> tuple[Any, list[str]]:
    """Return the loaded plugin, and the warnings and errors in the log."""
    with capturedLogs() as logs:
        found = {category.name: category for category in find_categories(str(folder))}
    warnings = [str(log["names"]) for log in logs if log["log_level"] >= LogLevel.warn]
    return found.get("queue"), warnings


def test_the_example_of_the_first_release_loads_with_one_warning_that_names_the_present_names(
    folder: Path,
) -> None:
    (folder / "kb_test_first_release.py").write_text(FIRST_RELEASE)
    category, warnings = load(folder)
    assert verifyObject(IBindingCategory, category)
    assert warnings == [
        "Listening is now BindingPlan, Source is now TopicFilter, Telling is now SubscriberEvent, "
        "listening is now resolve_binding, normalise is now normalize, tellings is now subscriber_events"
    ]


def test_the_example_of_the_first_release_works(folder: Path) -> None:
    (folder / "kb_test_first_release.py").write_text(FIRST_RELEASE)
    category, _ = load(folder)
    event = make_event(
        "callevt",
        f"acdc.queue.ENTERED.{ACCOUNT.id}",
        {"Event-Category": "acdc_queue", "Event-Name": "ENTERED", "Account-ID": ACCOUNT.id},
    )
    (occurrence,) = category.occurrences(event)
    assert (occurrence.hook, occurrence.account_id) == ("queue_entered", ACCOUNT.id)
    assert occurrence.payload["event_name"] == "ENTERED"
    pattern = f"acdc.queue.LEFT.{ACCOUNT.id}"
    assert category.resolve_binding("queue.LEFT", ACCOUNT, False, 0.0) == BindingPlan(
        (TopicFilter(Topic("callevt", pattern), pattern),)
    )
    assert category.resolve_binding("call.x", ACCOUNT, False, 0.0) is None
    with pytest.raises(BindingRefused, match="event MOVED not supported"):
        category.resolve_binding("queue.MOVED", ACCOUNT, False, 0.0)
    assert list(category.subscriber_events(event)) == [SubscriberEvent(event.routing_key, event.routing_key)]


def test_the_present_example_loads_without_a_warning(folder: Path) -> None:
    (folder / "kb_test_present.py").write_text(Path("etc/examples/queue_category.py").read_text())
    category, warnings = load(folder)
    assert category is not None
    assert warnings == []


def test_former_keywords_are_accepted_and_found() -> None:
    occurrence: Any = Occurrence
    assert occurrence("h", None, {}, dialled="4722", own_hook={"uri": "u"}) == Occurrence(
        "h", None, {}, called_number="4722", inline_hook={"uri": "u"}
    )
    source = "import kazoo_bridge.kazoo as kazoo\nf(dialled=kazoo.plain_number('1'))\n"
    assert former_names_in(source) == {"dialled": "called_number", "plain_number": "normalize_number"}


def test_words_in_texts_and_variables_are_no_former_names() -> None:
    assert former_names_in('"""Telling, listening."""\nsources = 1\nnormalise = 2\n') == {}


def test_only_categories_with_the_former_methods_are_adapted() -> None:
    @implementer(IEventCategory)
    class Plain:
        name = "plain"
        hooks = ()

        def topics(self, hook: str) -> list[Topic]:
            return []

        def occurrences(self, event: object) -> list[Occurrence]:
            return []

    plain = Plain()
    assert adapt(plain) is plain
