"""The health of a node, and its metrics as Prometheus reads them."""

from __future__ import annotations

import pytest
import pytest_twisted
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock

from kazoo_bridge.kazoo import Event
from kazoo_bridge.rest.resources import operational
from kazoo_bridge.webhooks import metrics
from kazoo_bridge.webhooks.event_handler import when_ended
from tests.rest.harness import ACCOUNT, HOOK_DOCUMENT, RestHarness, hooks_path
from tests.rest.site_harness import running_site

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(autouse=True)
def nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read everything again for each request."""
    monkeypatch.setattr(operational, "MAX_AGE", 0.0)
    monkeypatch.setattr(metrics, "COUNT_INTERVAL", 0.0)
    monkeypatch.setattr(metrics, "MAX_COUNT_SHARE", 1e9)


async def read_metrics(rest: RestHarness) -> dict[str, float]:
    response = await rest("GET", "/metrics", token="")
    assert response.code == 200
    assert response.headers.getRawHeaders("Content-Type")[0].startswith("text/plain; version=")
    found = {}
    for family in text_string_to_metric_families(response.text_body):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


async def publish_call(rest: RestHarness, account_id: str | None, call_id: str = "c1") -> None:
    variables = {"Account-ID": account_id} if account_id else {}
    body = {
        "Event-Category": "call_event",
        "Event-Name": "CHANNEL_CREATE",
        "Call-ID": call_id,
        "Custom-Channel-Vars": variables,
    }
    event = Event("callevt", f"call.CHANNEL_CREATE.{call_id}", body, b"{}")
    await when_ended(rest.node.webhooks.event_handler.handle(event))


@pytest_twisted.ensureDeferred
async def test_a_fresh_node_is_up_and_has_done_nothing(rest: RestHarness) -> None:
    found = await read_metrics(rest)
    assert found["kazoo_bridge_bus_up"] == found["kazoo_bridge_storage_up"] == 1
    assert (
        found["kazoo_bridge_attempts_total{result=success}"]
        == found["kazoo_bridge_attempts_total{result=failure}"]
        == 0
    )
    assert found["kazoo_bridge_deliveries_stored{status=pending}"] == found["kazoo_bridge_sockets"] == 0
    assert found["process_resident_memory_bytes"] > 0


@pytest_twisted.ensureDeferred
async def test_events_and_attempts_are_counted(rest: RestHarness) -> None:
    before = await read_metrics(rest)
    document = {**HOOK_DOCUMENT, "retries": 0}  # nothing listens on its port
    assert (await rest("PUT", hooks_path(), document)).code == 201
    await publish_call(rest, ACCOUNT)
    await publish_call(rest, None, "c2")
    await publish_call(rest, "9" * 32, "c3")
    found = await read_metrics(rest)
    assert found["kazoo_bridge_webhook_events_total{exchange=callevt}"] == 3
    assert found["kazoo_bridge_webhook_events_without_account_total"] == 1
    assert found["kazoo_bridge_webhook_events_of_unknown_accounts_total"] == 1
    assert found["kazoo_bridge_webhooks_enabled"] == before["kazoo_bridge_webhooks_enabled"] + 1
    assert found["kazoo_bridge_attempts_total{result=failure}"] == 1
    assert (
        found["kazoo_bridge_attempt_seconds_count"]
        == found["kazoo_bridge_attempt_seconds_bucket{le=+Inf}"]
        == 1
    )
    assert found["kazoo_bridge_deliveries_stored{status=pending}"] == 1


@pytest_twisted.ensureDeferred
async def test_metrics_name_neither_accounts_nor_addresses(rest: RestHarness) -> None:
    await rest("PUT", hooks_path(), HOOK_DOCUMENT)
    await publish_call(rest, ACCOUNT)
    text = (await rest("GET", "/metrics", token="")).text_body
    assert ACCOUNT not in text
    assert "127.0.0.1" not in text


@pytest_twisted.ensureDeferred
async def test_without_storage_the_other_metrics_remain(rest: RestHarness) -> None:
    await rest.node.database.close()
    found = await read_metrics(rest)
    assert found["kazoo_bridge_storage_up"] == 0
    assert "kazoo_bridge_sockets" in found
    assert "kazoo_bridge_webhooks_enabled" in found
    assert "kazoo_bridge_deliveries_stored{status=pending}" not in found


@pytest_twisted.ensureDeferred
async def test_health(rest: RestHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await rest("GET", "/healthz")).code == 200
    assert (await rest("GET", "/readyz")).code == 200
    monkeypatch.setattr(rest.node.bus, "unavailable_reason", lambda: "no connection")
    answered = await rest("GET", "/readyz")
    assert answered.code == 503
    assert answered.text_body.startswith("bus: no connection\ndegraded: bus: embedded, ")
    assert (await rest("GET", "/healthz")).code == 200


@pytest_twisted.ensureDeferred
async def test_what_is_degraded_is_said_and_does_not_change_the_status() -> None:
    problems: list[str] = []

    async def read_problems() -> list[str]:
        return problems

    resource = operational.HealthResource(Clock(), read_problems, lambda: ["zone 2: no connection"])
    async with running_site(resource) as site:
        response = await site("/readyz")
        assert (response.code, response.text_body) == (200, "ready\ndegraded: zone 2: no connection\n")
    problems.append("bus: away")
    resource = operational.HealthResource(Clock(), read_problems, lambda: ["zone 2: no connection"])
    async with running_site(resource) as site:
        response = await site("/readyz")
        assert (response.code, response.text_body) == (503, "bus: away\ndegraded: zone 2: no connection\n")


@pytest.mark.parametrize(
    ("problems", "code", "text"),
    [
        (["bus: away", "hooks: not read"], 200, "ready\ndegraded: directory: slow\n"),
        (["bus: away", "storage: full"], 503, "storage: full\ndegraded: directory: slow\n"),
        (["directory: away"], 503, "directory: away\ndegraded: directory: slow\n"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_parts_that_rest_needs(problems: list[str], code: int, text: str) -> None:
    async def read_problems() -> list[str]:
        return problems

    degraded = ["bus: embedded", "directory: slow"]
    async with running_site(operational.HealthResource(Clock(), read_problems, lambda: degraded)) as site:
        response = await site("/readyz?part=rest")
        assert (response.code, response.text_body) == (code, text)
        assert (await site("/readyz")).code == 503
        assert (await site("/readyz?part=other")).code == 400
