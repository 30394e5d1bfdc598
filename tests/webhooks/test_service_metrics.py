from __future__ import annotations

from collections import Counter
from typing import Any

from attrs import define, evolve, field
from prometheus_client import CollectorRegistry

from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from kazoo_bridge.webhooks.service_metrics import (
    register_event_metrics,
    register_hook_metrics,
    register_request_metrics,
)
from tests.webhooks.hook_factory import make_hook


@define
class FakeHandler:
    events: Counter[str] = field(factory=lambda: Counter(callevt=5))
    events_by_category: dict[str, int] = field(factory=lambda: {"call": 4, "fax": 0})
    matched: int = 3
    without_account: int = 2
    unread_owner: int = 1
    unknown_account: int = 6


@define
class FakeCounts:
    totals: dict[str, int] = field(factory=lambda: {"disabled": 7})
    results: dict[str, int] = field(factory=lambda: {"failure": 8})
    in_flight: int = 9
    queued: int = 10


def _value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"kazoo_bridge_{name}", labels)


def test_events_are_exported_by_what_becomes_of_them() -> None:
    registry = CollectorRegistry()
    handler: Any = FakeHandler()
    missed: Any = FakeCounts()
    register_event_metrics(registry, handler, missed)
    assert _value(registry, "webhook_events_total", exchange="callevt") == 5
    assert _value(registry, "webhook_category_events_total", category="call") == 4
    assert _value(registry, "webhook_category_events_total", category="fax") == 0
    assert _value(registry, "webhook_events_matched_total") == 3
    assert _value(registry, "webhook_events_without_account_total") == 2
    assert _value(registry, "webhook_events_with_unread_owner_total") == 1
    assert _value(registry, "webhook_events_of_unknown_accounts_total") == 6
    assert _value(registry, "events_missed_total", reason="disabled") == 7
    assert _value(registry, "events_missed_total", reason="too_old") == 0


def test_hooks_are_exported_by_state() -> None:
    registry, hooks = CollectorRegistry(), HookRegistry()
    prober: Any = FakeCounts()
    register_hook_metrics(registry, hooks, prober)
    hooks.replace_all(
        [
            make_hook("a"),
            make_hook("b"),
            evolve(make_hook("off"), enabled=False),
            evolve(make_hook("failed"), enabled=False, failed=True),
        ]
    )
    states = {state: _value(registry, "hooks", state=state) for state in ("enabled", "suspended", "failed")}
    assert states == {"enabled": 2, "suspended": 0, "failed": 1}
    assert (_value(registry, "webhooks_enabled"), _value(registry, "webhooks_suspended")) == (2, 0)
    assert _value(registry, "webhook_probes_total", result="failure") == 8
    assert _value(registry, "webhook_probes_total", result="success") == 0


def test_requests_are_exported_by_whether_they_wait() -> None:
    registry = CollectorRegistry()
    scheduler: Any = FakeCounts()
    register_request_metrics(registry, scheduler)
    assert (_value(registry, "requests_under_way"), _value(registry, "requests_queued")) == (9, 10)
