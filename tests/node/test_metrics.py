from __future__ import annotations

import platform
from pathlib import Path
from typing import get_args

import pytest
import pytest_twisted
from prometheus_client import REGISTRY
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

import twisted
from kazoo_bridge import __version__
from kazoo_bridge.bus.embedded_queue import MAX_BYTES
from kazoo_bridge.bus.message_codec import Unreadable
from kazoo_bridge.node.node import Node
from kazoo_bridge.webhooks.http.failure_reasons import FAILURE_REASONS
from kazoo_bridge.websockets.sessions.resume import RESUME_RESULTS
from tests.node.harness import make_node

pytestmark = pytest.mark.timeout(30)

_BUCKETS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0")

_DELAY_BUCKETS = (
    *("0.005", "0.025", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "120.0", "600.0"),
    *("3600.0", "86400.0"),
)

_PURGES = (
    "changes",
    "tokens",
    "attempts",
    "deliveries_waited_too_long",
    "deliveries_too_many_waiting",
    "dead_deliveries",
    "pivot_records",
)

_PIVOT_RESULTS = ("answered", "no_client", "timeout", "disabled", "busy", "stopped", "gone")

_PIVOT_BUCKETS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.0", "3.0", "5.0", "10.0")


#: Metric -> type and label, as documented in docs/reference/metrics.md.
METRICS = {
    "info": ("gauge", "version"),
    "build_info": ("gauge", "python,twisted,version"),
    "reactor_lag_seconds": ("histogram", "le"),
    "storage_seconds": ("histogram", "le,operation"),
    "http_requests": ("counter", "route,status"),
    "auth_failures": ("counter", "client"),
    "directory_cache_lookups": ("counter", "cache,result"),
    "unacknowledged": ("gauge", ""),
    "socket_resumes": ("counter", "result"),
    "webhook_category_events": ("counter", "category"),
    "webhook_events_matched": ("counter", ""),
    "hooks": ("gauge", "state"),
    "bus_up": ("gauge", ""),
    "bindings_missing": ("gauge", ""),
    "storage_up": ("gauge", ""),
    "delayed_calls": ("gauge", ""),
    "watched_accounts": ("gauge", ""),
    "sockets": ("gauge", ""),
    "sessions_waiting": ("gauge", ""),
    "replay_bytes": ("gauge", ""),
    "subscriptions": ("gauge", ""),
    "topics": ("gauge", ""),
    "socket_events": ("counter", ""),
    "socket_events_dropped": ("counter", ""),
    "sockets_unauthenticated": ("gauge", ""),
    "sockets_refused": ("counter", "reason"),
    "sockets_closed": ("counter", "code"),
    "events_unreadable": ("counter", "reason"),
    "events_repaired": ("counter", ""),
    "events_failed": ("counter", ""),
    "queue_messages": ("gauge", ""),
    "queue_bytes": ("gauge", ""),
    "queue_max_bytes": ("gauge", ""),
    "queue_dropped": ("counter", ""),
    "webhook_events": ("counter", "exchange"),
    "webhook_events_without_account": ("counter", ""),
    "webhook_events_with_unread_owner": ("counter", ""),
    "webhook_events_of_unknown_accounts": ("counter", ""),
    "webhooks_enabled": ("gauge", ""),
    "webhooks_suspended": ("gauge", ""),
    "webhook_probes": ("counter", "result"),
    "events_missed": ("counter", "reason"),
    "rows_purged": ("counter", "purge"),
    "attempts": ("counter", "result"),
    "attempt_failures": ("counter", "reason"),
    "attempt_seconds": ("histogram", "le"),
    "first_attempt_delay_seconds": ("histogram", "le"),
    "delivery_delay_seconds": ("histogram", "le"),
    "requests_under_way": ("gauge", ""),
    "requests_queued": ("gauge", ""),
    "deliveries_stored": ("gauge", "status"),
    "oldest_delivery_seconds": ("gauge", "status"),
    "pivot_requests": ("counter", "result"),
    "pivot_requests_waiting": ("gauge", ""),
    "pivot_answer_seconds": ("histogram", "le"),
}

#: Only with `amqp.zones`.
METRICS_OF_ZONES = {
    "zone_up": ("gauge", "zone"),
    "zone_bindings_missing": ("gauge", "zone"),
    "zone_connects": ("counter", "connection,zone"),
}

#: Only with a broker.
METRICS_OF_AMQP = {"bus_connects": ("counter", "connection")}

#: Only with `opentelemetry.endpoint`.
METRICS_OF_SPANS = {"spans": ("counter", "result")}

#: All of them.
ALL_METRICS = METRICS | METRICS_OF_ZONES | METRICS_OF_AMQP | METRICS_OF_SPANS


def _empty_histogram(name: str, ends: tuple[str, ...], label: str = "") -> dict[str, float]:
    """The samples of a histogram without observations; `label` is the value of its label."""
    value = f"{{{label}}}" if label else ""
    buckets = {f"{name}_bucket{value}{{{end}}}": 0.0 for end in (*ends, "+Inf")}
    return {**buckets, f"{name}_count{value}": 0, f"{name}_sum{value}": 0}


async def scrape(node: Node) -> str:
    return generate_latest(await node.metrics.read()).decode()


async def read_samples(node: Node) -> dict[str, float]:
    """The samples of this service: ``name`` or ``name{value of the label}``, without the prefix."""
    samples = {}
    for family in text_string_to_metric_families(await scrape(node)):
        if family.name.startswith("kazoo_bridge_"):
            for sample in family.samples:
                labels = "".join(f"{{{value}}}" for _, value in sorted(sample.labels.items()))
                samples[sample.name.removeprefix("kazoo_bridge_") + labels] = sample.value
    return samples


@pytest_twisted.ensureDeferred
async def test_names_types_and_labels_are_as_documented(node: Node) -> None:
    node.webhooks.event_handler.events["callevt"] += 1
    node.request_metrics.count("GET /healthz", 200)
    node.websockets.sessions.closed_by_code[4000] += 1
    found = {}
    for family in text_string_to_metric_families(await scrape(node)):
        if family.name.startswith("kazoo_bridge_"):
            labels = {label for sample in family.samples for label in sample.labels}
            found[family.name.removeprefix("kazoo_bridge_")] = (family.type, ",".join(sorted(labels)))
    assert found == METRICS


@pytest_twisted.ensureDeferred
async def test_every_metric_is_documented(node: Node) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/metrics.md").read_text()
    for name, (kind, label) in ALL_METRICS.items():
        full_name = f"kazoo_bridge_{name}" + ("_total" if kind == "counter" else "")
        labels = ",".join(one for one in label.split(",") if one != "le")
        assert f"`{full_name}{f'{{{labels}}}' if labels else ''}`" in page


@pytest_twisted.ensureDeferred
async def test_a_fresh_node_has_all_its_samples(node: Node) -> None:
    samples = await read_samples(node)
    assert samples.pop("delayed_calls") >= 0
    # The node has read its storage, and may have measured its reactor.
    for name in [name for name in samples if name.startswith(("storage_seconds_", "reactor_lag_seconds_"))]:
        assert samples.pop(name) >= 0
    assert samples == {
        f"info{{{__version__}}}": 1,
        f"build_info{{{platform.python_version()}}}{{{twisted.__version__}}}{{{__version__}}}": 1,
        **{f"auth_failures_total{{{client}}}": 0 for client in ("rest", "login", "websocket")},
        **{f"directory_cache_lookups_total{{local_tokens}}{{{result}}}": 0 for result in ("hit", "miss")},
        "unacknowledged": 0,
        **{f"socket_resumes_total{{{result}}}": 0 for result in RESUME_RESULTS},
        **{f"webhook_category_events_total{{{one.name}}}": 0 for one in node.categories},
        "webhook_events_matched_total": 0,
        **{f"hooks{{{state}}}": 0 for state in ("enabled", "suspended", "failed")},
        "bus_up": 1,
        "bindings_missing": 0,
        "storage_up": 1,
        "watched_accounts": 0,
        "sockets": 0,
        "sessions_waiting": 0,
        "replay_bytes": 0,
        "subscriptions": 0,
        "topics": 0,
        "socket_events_total": 0,
        "socket_events_dropped_total": 0,
        "sockets_unauthenticated": 0,
        "sockets_refused_total{unauthenticated}": 0,
        **{f"events_unreadable_total{{{reason}}}": 0 for reason in get_args(Unreadable)},
        "events_repaired_total": 0,
        "events_failed_total": 0,
        "queue_messages": 0,
        "queue_bytes": 0,
        "queue_max_bytes": MAX_BYTES,
        "queue_dropped_total": 0,
        "webhook_events_without_account_total": 0,
        "webhook_events_with_unread_owner_total": 0,
        "webhook_events_of_unknown_accounts_total": 0,
        "webhooks_enabled": 0,
        "webhooks_suspended": 0,
        **{f"webhook_probes_total{{{result}}}": 0 for result in ("success", "failure", "given_up")},
        **{
            f"events_missed_total{{{reason}}}": 0
            for reason in ("disabled", "undeliverable", "too_old", "account_moved")
        },
        **{f"rows_purged_total{{{purge}}}": 0 for purge in _PURGES},
        "attempts_total{failure}": 0,
        "attempts_total{success}": 0,
        **{f"attempt_failures_total{{{reason}}}": 0 for reason in FAILURE_REASONS},
        **_empty_histogram("attempt_seconds", _BUCKETS),
        **_empty_histogram("first_attempt_delay_seconds", _DELAY_BUCKETS),
        **_empty_histogram("delivery_delay_seconds", _DELAY_BUCKETS),
        "requests_under_way": 0,
        "requests_queued": 0,
        "deliveries_stored{pending}": 0,
        "deliveries_stored{held}": 0,
        "deliveries_stored{dead}": 0,
        "oldest_delivery_seconds{pending}": 0,
        "oldest_delivery_seconds{held}": 0,
        **{f"pivot_requests_total{{{result}}}": 0 for result in _PIVOT_RESULTS},
        "pivot_requests_waiting": 0,
        **_empty_histogram("pivot_answer_seconds", _PIVOT_BUCKETS),
    }


@pytest_twisted.ensureDeferred
async def test_samples_follow_what_happens(node: Node) -> None:
    node.webhooks.event_handler.events["callevt"] += 3
    node.websockets.fanout.events_sent += 2
    watch = node.calls.watch("a" * 32, lambda change: None)
    samples = await read_samples(node)
    watch.stop()
    assert samples["webhook_events_total{callevt}"] == 3
    assert samples["socket_events_total"] == 2
    assert samples["watched_accounts"] == 1


@pytest_twisted.ensureDeferred
async def test_delayed_calls_are_those_that_are_due_later(node: Node) -> None:
    before = await read_samples(node)
    calls = [node.reactor.callLater(60, int) for _ in range(30)]
    during = await read_samples(node)
    for call in calls:
        call.cancel()
    after = await read_samples(node)
    # Other timers of the node come and go.
    assert during["delayed_calls"] - before["delayed_calls"] >= 20
    assert after["delayed_calls"] - before["delayed_calls"] < 10


@pytest_twisted.ensureDeferred
async def test_without_the_storage_only_the_stored_deliveries_are_missing(node: Node) -> None:
    before = await read_samples(node)
    await node.database.close()
    samples = await read_samples(node)
    assert samples["storage_up"] == 0
    assert before.keys() - samples.keys() == {
        *(f"deliveries_stored{{{status}}}" for status in ("pending", "held", "dead")),
        *(f"oldest_delivery_seconds{{{status}}}" for status in ("pending", "held")),
    }


@pytest_twisted.ensureDeferred
async def test_a_worker_does_not_count_what_the_first_process_counts(node: Node) -> None:
    await node.metrics.read()
    registry = await node.read_worker_metrics()
    samples = [sample.name for metric in registry.collect() for sample in metric.samples]
    assert "kazoo_bridge_bus_up" in samples
    assert "kazoo_bridge_deliveries_stored" not in samples


@pytest_twisted.ensureDeferred
async def test_the_bus_is_down_before_the_start_and_after_a_disconnection(tmp_path: Path) -> None:
    node = make_node(tmp_path)
    await node.load()
    assert (await read_samples(node))["bus_up"] == 0
    await node.close()


@pytest_twisted.ensureDeferred
async def test_metrics_of_the_process_are_there_and_nothing_is_in_the_global_registry(node: Node) -> None:
    text = await scrape(node)
    assert "\nprocess_resident_memory_bytes " in text
    assert "\npython_gc_collections_total{" in text
    assert b"kazoo_bridge" not in generate_latest(REGISTRY)
