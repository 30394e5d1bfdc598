from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from attrs import define, field
from twisted.logger import capturedLogs
from zope.interface import implementer
from zope.interface.verify import verifyObject

from kazoo_bridge.interfaces import (
    MAX_BINDING_LENGTH,
    Account,
    BindingPlan,
    BindingRefused,
    IBindingCategory,
    IEventCategory,
    Occurrence,
    SubscriberEvent,
    Topic,
)
from kazoo_bridge.kazoo import Event
from kazoo_bridge.plugins.discovery import find_categories
from kazoo_bridge.websockets.subscriptions.binding_catalogue import BindingCatalogue

ACCOUNT = Account("a" * 32, "name", "a.example.com")


@implementer(IEventCategory)
@define(eq=False)
class HooksOnly:
    """A category without bindings."""

    name: str = "hooks-only"
    hooks: tuple[Any, ...] = ()

    def topics(self, hook: str) -> Iterable[Topic]:
        return ()

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        return ()


@implementer(IBindingCategory)
@define(eq=False)
class FakeCategory(HooksOnly):
    """A category that resolves its own name to `plan`, or raises `error`."""

    name: str = "fake"
    bindings: tuple[str, ...] = ("fake.b", "fake.a")
    plan: BindingPlan | None = field(factory=lambda: BindingPlan(()))
    error: Exception | None = None

    def resolve_binding(
        self, binding: str, account: Account | None, superadmin: bool, now: float
    ) -> BindingPlan | None:
        if self.error is not None:
            raise self.error
        return self.plan if binding.startswith(self.name) else None

    def subscriber_events(self, event: Event) -> Iterable[SubscriberEvent]:
        return ()


def catalogue(*categories: Any) -> BindingCatalogue:
    return BindingCatalogue.from_categories(categories)


def test_the_fakes_are_categories() -> None:
    assert verifyObject(IEventCategory, HooksOnly())
    assert verifyObject(IBindingCategory, FakeCategory())


def test_categories_without_bindings_are_left_out() -> None:
    fake = FakeCategory()
    assert list(catalogue(HooksOnly(), fake).categories) == [fake]


def test_bindings_are_listed_by_their_first_segment() -> None:
    other = FakeCategory(name="other", bindings=("fake.c", "another.x"))
    assert catalogue(FakeCategory(), other).by_category() == {
        "another": ["another.x"],
        "calls": ["calls"],
        "fake": ["fake.b", "fake.a", "fake.c"],
    }
    assert list(catalogue(FakeCategory(), other).by_category()) == ["another", "calls", "fake"]


def test_bindings_are_listed_as_clients_see_them() -> None:
    shown = FakeCategory(plan=BindingPlan((), shown="short"), bindings=("fake.x",))
    refused = FakeCategory(name="no", error=BindingRefused("not for all"), bindings=("no.x",))
    unknown = FakeCategory(name="un", plan=None, bindings=("un.x",))
    with capturedLogs() as logs:
        listed = catalogue(shown, refused, unknown).by_category()
    assert listed == {"calls": ["calls"], "fake": ["short"], "no": ["no.x"], "un": ["un.x"]}
    assert not logs


def test_the_first_category_that_knows_a_binding_resolves_it() -> None:
    first, second = FakeCategory(name="a"), FakeCategory(name="b")
    assert catalogue(first, second).resolve("b.x", ACCOUNT, False, 0.0) == (second, second.plan)


def test_an_unknown_binding_is_refused() -> None:
    with pytest.raises(BindingRefused, match=r"^no available subscriptions to requested binding nothing\.x$"):
        catalogue(FakeCategory()).resolve("nothing.x", ACCOUNT, False, 0.0)


def test_the_length_of_a_binding_is_limited() -> None:
    fake = catalogue(FakeCategory())
    assert fake.resolve("fake".ljust(MAX_BINDING_LENGTH, "x"), ACCOUNT, False, 0.0)
    with pytest.raises(BindingRefused, match="at most 512 characters"):
        fake.resolve("fake".ljust(MAX_BINDING_LENGTH + 1, "x"), ACCOUNT, False, 0.0)


def test_a_categorys_refusal_reaches_the_client() -> None:
    refused = catalogue(FakeCategory(error=BindingRefused("event x not supported")))
    with pytest.raises(BindingRefused, match=r"^event x not supported$"):
        refused.resolve("fake.x", ACCOUNT, False, 0.0)


def test_a_category_that_fails_is_logged_and_refused_without_details() -> None:
    failing = catalogue(FakeCategory(error=RuntimeError("a secret")))
    with capturedLogs() as logs, pytest.raises(BindingRefused, match="no available subscriptions"):
        failing.resolve("fake.x", ACCOUNT, False, 0.0)
    assert [event["category"] for event in logs] == ["fake"]


def test_the_built_in_categories_have_bindings() -> None:
    listed = BindingCatalogue.from_categories(find_categories()).by_category()
    assert "call.CHANNEL_CREATE.{CALL_ID}" in listed["call"]
    assert listed["presence"] == ["dialog.{CALL_ID}", "mwi_updates.{USER}", "update.{CALL_ID}"]
    assert {"calls", "object", "fax", "conference", "presence", "notification", "parking"} <= set(listed)
