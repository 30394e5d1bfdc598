from __future__ import annotations

import importlib
from typing import Any

import pytest
from attrs import evolve, frozen

from kazoo_bridge.interfaces import BindingPlan, IBindingCategory, SubscriberEvent
from kazoo_bridge.legacy import FORMER_METHODS, FORMER_NAMES, accept_former_names, resolve_former_name


@pytest.mark.parametrize("former", sorted(FORMER_NAMES))
def test_every_former_name_is_still_importable(former: str) -> None:
    package = importlib.import_module("kazoo_bridge.kazoo" if former.islower() else "kazoo_bridge.interfaces")
    found, present = getattr(package, former), getattr(package, FORMER_NAMES[former])
    assert found is present


@pytest.mark.parametrize("package", ["kazoo_bridge.interfaces", "kazoo_bridge.kazoo"])
@pytest.mark.parametrize("name", ["no_such_name", ""])
def test_other_names_are_errors(package: str, name: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute '{name}'"):
        getattr(importlib.import_module(package), name)


def test_a_former_name_of_another_module_is_an_error() -> None:
    with pytest.raises(AttributeError):
        resolve_former_name("module", {"other": 1}, "normalise")


def test_the_present_methods_exist() -> None:
    assert set(FORMER_METHODS.values()) <= set(IBindingCategory.names())


def test_a_class_accepts_former_and_present_keywords() -> None:
    @accept_former_names
    @frozen
    class Value:
        called_number: str
        other: int = 0

    make: Any = Value
    assert make(dialled="1", other=2) == make(called_number="1", other=2) == make("1", 2)
    with pytest.raises(TypeError):
        make(unknown=1)
    value: Any = evolve(make("1", 2), dialled="3")
    assert (value, value.dialled) == (make("3", 2), "3")
    assert not hasattr(Value, "of_owner")


def test_a_former_class_makes_instances_of_the_present_one() -> None:
    former: Any = importlib.import_module("kazoo_bridge.interfaces")
    made = former.Telling(
        "k", "k", dialled="4722", of_owner=lambda account_id: former.Telling(account_id, "k")
    )
    assert type(made) is SubscriberEvent
    assert made == SubscriberEvent("k", "k", called_number="4722")
    for_owner: Any = made.for_owner
    assert for_owner("a") == SubscriberEvent("a", "k")
    plan = former.Listening(sources=(), until=1.0)
    assert plan.sources == ()
    assert type(plan) is BindingPlan
    assert plan == BindingPlan((), 1.0)
    with pytest.raises(TypeError):
        former.Listening(unknown=1)
    change: Any = evolve
    assert change(made, dialled="4723", of_owner=None) == SubscriberEvent("k", "k", called_number="4723")
