from __future__ import annotations

import pytest
import pytest_twisted
from prometheus_client import CollectorRegistry

from kazoo_bridge.rest.server.request_metrics import RequestMetrics
from tests.rest.harness import RestHarness, hooks_path


def _counts(metrics: RequestMetrics) -> dict[tuple[str, str], float]:
    registry = CollectorRegistry()
    metrics.register(registry)
    [family] = registry.collect()
    return {(one.labels["route"], one.labels["status"]): one.value for one in family.samples}


def test_requests_are_counted_by_route_and_class_of_status() -> None:
    metrics = RequestMetrics()
    for route, status in (("GET /x", 200), ("GET /x", 304), ("GET /x", 201), ("", 404)):
        metrics.count(route, status)
    assert _counts(metrics) == {("GET /x", "2xx"): 2, ("GET /x", "3xx"): 1, ("none", "4xx"): 1}


@pytest.mark.parametrize(
    ("route", "status", "failures"),
    [
        ("GET /v2/webhooks", 401, {"rest": 1, "login": 0}),
        ("PUT /v2/api_auth", 401, {"rest": 0, "login": 1}),
        ("PUT /v2/user_auth", 401, {"rest": 0, "login": 1}),
        ("PUT /v2/api_auth", 201, {"rest": 0, "login": 0}),
        ("GET /v2/webhooks", 403, {"rest": 0, "login": 0}),
    ],
)
def test_answers_401_are_failed_authentications(route: str, status: int, failures: dict[str, int]) -> None:
    metrics = RequestMetrics()
    metrics.count(route, status)
    assert metrics.auth_failures == failures


@pytest_twisted.ensureDeferred
async def test_the_site_counts_patterns_of_paths_and_what_has_no_route(rest: RestHarness) -> None:
    metrics = rest.node.request_metrics
    before = _counts(metrics)
    await rest("GET", hooks_path())
    await rest("HEAD", hooks_path())
    await rest("GET", hooks_path(), token="unknown")
    await rest("GET", f"/v2/nothing/{'f' * 32}")
    after = _counts(metrics)
    changes = {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key)}
    assert changes == {
        ("GET /v2/accounts/<account_id>/webhooks", "2xx"): 2,
        ("GET /v2/accounts/<account_id>/webhooks", "4xx"): 1,
        ("none", "4xx"): 1,
    }
    assert metrics.auth_failures == {"rest": 1, "login": 0}
