"""Calls of a category as a node makes them, and the ids and times of these tests."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from kazoo_bridge.interfaces import (
    Account,
    BindingPlan,
    BindingRefused,
    IBindingCategory,
    IEventCategory,
    Occurrence,
)
from kazoo_bridge.testing import EXAMPLE_ACCOUNT, make_event

ACCOUNT = EXAMPLE_ACCOUNT.id
OTHER = "b" * 32
#: The database of `EXAMPLE_ACCOUNT` as routing keys spell it.
DB = "account%2F3f%2F0a%2F9c51d7e84b62a1c05d9e7b2f4860"
#: The month of `NOW` is 202611.
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()


def occurrences(
    category: IEventCategory, body: Mapping[str, Any], routing_key: str = "", exchange: str = "callevt"
) -> list[Occurrence]:
    """Return the occurrences of a message without an envelope."""
    return list(category.occurrences(make_event(exchange, routing_key, body, envelope=False)))


def resolve(
    category: IBindingCategory,
    binding: str,
    account: Account | None = EXAMPLE_ACCOUNT,
    *,
    superadmin: bool = False,
    now: float = NOW,
) -> BindingPlan:
    plan = category.resolve_binding(binding, account, superadmin, now)
    assert plan is not None, binding
    return plan


def topics(
    category: IBindingCategory, binding: str, account: Account | None = EXAMPLE_ACCOUNT, **more: Any
) -> list[tuple[str, str]]:
    """Return (exchange, pattern) of what the broker must send."""
    plan = resolve(category, binding, account, **more)
    return [(topic.exchange, topic.pattern) for one in plan.filters for topic in one.topics]


def patterns(
    category: IBindingCategory, binding: str, account: Account | None = EXAMPLE_ACCOUNT, **more: Any
) -> list[str]:
    """Return the patterns of the category's keys."""
    return [one.pattern for one in resolve(category, binding, account, **more).filters]


def refusal(
    category: IBindingCategory, binding: str, account: Account | None = EXAMPLE_ACCOUNT, **more: Any
) -> str:
    """Return the text that a binding is refused with."""
    with pytest.raises(BindingRefused) as caught:
        resolve(category, binding, account, **more)
    return str(caught.value)
