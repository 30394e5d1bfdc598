"""Faults of a real node make the alert for them fire, with the metrics that the node then has.

`test_alerts.py` has made-up series for every alert; here are those whose fault can be caused in a moment.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample
from twisted.application.service import IService
from twisted.logger import capturedLogs

from kazoo_bridge.interfaces import Delivery
from kazoo_bridge.node.node import Node
from tests.node.harness import make_config
from tests.node.promql import Series
from tests.node.test_alerts import ALERTS
from tests.rest.harness import ACCOUNT, RestHarness, hooks_path, make_call, running_node, until

#: How often a fault is repeated in a minute.
PER_MINUTE = 120

#: Alerts that a busy machine may cause.
OF_THE_MACHINE = {
    "KazooBridgeReactorLag",
    "KazooBridgeStorageSlow",
    "KazooBridgeMemory",
    "KazooBridgeDescriptors",
}

Fault = Callable[[RestHarness], Awaitable[None]]


@pytest_twisted.async_yield_fixture
async def rest(tmp_path: Path) -> AsyncIterator[RestHarness]:
    config = make_config(tmp_path)
    config = evolve(config, webhooks=evolve(config.webhooks, retry_schedule_s=(3600,)))
    async with running_node(config) as harness:
        yield harness


async def scrape(node: Node) -> dict[str, Sample]:
    """Return what Prometheus would read now, by name and labels."""
    registry: CollectorRegistry = await node.metrics.read()
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample
        for metric in registry.collect()
        for sample in metric.samples
        if math.isfinite(sample.value) and not sample.name.endswith("_sum")
    }


def series(before: dict[str, Sample], after: dict[str, Sample]) -> Series:
    """Two hours in which what has happened between two scrapes happens again and again."""
    given = []
    for key, sample in after.items():
        labels = {"instance": "n1", "job": "kazoo", **sample.labels}
        written = ",".join(f'{name}="{value}"' for name, value in labels.items())
        value = int(sample.value)
        values = f"{value}x120"
        if sample.name.endswith(("_total", "_bucket", "_count")):
            start = int(before[key].value) if key in before else 0
            values = f"{start}+{(value - start) * PER_MINUTE}x120"
        given.append({"series": f"{sample.name}{{{written}}}", "values": values})
    return Series(given)


async def no_bus(rest: RestHarness) -> None:
    await _stop(rest.node.bus)


async def _stop(service: Any) -> None:
    stopping = IService(service).stopService()
    if stopping is not None:
        await stopping


async def no_storage(rest: RestHarness) -> None:
    await rest.node.database.close()


async def errors_of_rest(rest: RestHarness) -> None:
    await rest.node.database.close()
    assert (await rest("GET", hooks_path())).code == 503


async def wrong_tokens(rest: RestHarness) -> None:
    assert (await rest("GET", hooks_path(), token="0" * 64)).code == 401


async def broken_messages(rest: RestHarness) -> None:
    await rest.node.bus.publish_raw("callevt", "call.CHANNEL_CREATE.c1", b"{")  # type: ignore[union-attr]


async def defects(rest: RestHarness) -> None:
    handler: Any = rest.node.webhooks.event_handler
    handler._registry = None
    await rest.create_hook()
    with capturedLogs():
        await rest.publish_calls()

        async def failed() -> bool:
            return (await scrape(rest.node))["kazoo_bridge_events_failed_total[]"].value > 0

        await until(failed)


async def receivers_away(rest: RestHarness) -> None:
    await rest.create_failing_hook()
    await rest.publish_calls()
    key = "kazoo_bridge_attempts_total[('result', 'failure')]"

    async def failed() -> bool:
        return (await scrape(rest.node))[key].value > 0

    await until(failed)


async def disabled_hooks(rest: RestHarness) -> None:
    await rest.disable_hook(await rest.create_hook())
    await rest.publish_calls()
    key = "kazoo_bridge_events_missed_total[('reason', 'disabled')]"

    async def missed() -> bool:
        return (await scrape(rest.node))[key].value > 0

    await until(missed)


async def old_deliveries(rest: RestHarness) -> None:
    hook_id = await rest.create_hook()
    now = rest.node.reactor.seconds()
    payload = make_call(ACCOUNT, "c1")
    old = Delivery("msg_1", hook_id, ACCOUNT, "channel_create", "msg_2", payload, now - 2 * 86_400)
    await rest.node.webhooks.stores.deliveries.enqueue([(old, now + 3600, "answered 500")])
    rest.node.metrics._stored_deliveries.clear()  # else the count of the first scrape is kept for a while


@pytest.mark.parametrize(
    ("alert", "fault"),
    [
        ("KazooBridgeNotConsuming", no_bus),
        ("KazooBridgeStorageDown", no_storage),
        ("KazooBridgeRestErrors", errors_of_rest),
        ("KazooBridgeAuthFailures", wrong_tokens),
        ("KazooBridgeEventsDropped", broken_messages),
        ("KazooBridgeEventsDropped", defects),
        ("KazooBridgeAttemptsFailing", receivers_away),
        ("KazooBridgeEventsMissed", disabled_hooks),
        ("KazooBridgeDeliveriesWaitLong", old_deliveries),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_alert_for_a_fault_fires(rest: RestHarness, alert: str, fault: Fault) -> None:
    [rule] = [rule for rule in ALERTS if rule["alert"] == alert]
    before = await scrape(rest.node)
    assert not series(before, before).fires(rule["expr"], 100)
    await fault(rest)
    after = await scrape(rest.node)
    assert series(before, after).fires(rule["expr"], 100, int(rule.get("for", "0m").removesuffix("m")))


@pytest_twisted.ensureDeferred
async def test_a_node_without_faults_has_no_alert(rest: RestHarness) -> None:
    before = await scrape(rest.node)
    assert (await rest("GET", hooks_path())).code == 200
    after = await scrape(rest.node)
    quiet = series(before, after)
    firing = {rule["alert"] for rule in ALERTS if quiet.fires(rule["expr"], 100)}
    assert firing - OF_THE_MACHINE == set()
