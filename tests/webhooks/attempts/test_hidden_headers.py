from __future__ import annotations

from kazoo_bridge.webhooks.attempts.hidden_headers import hide_headers
from kazoo_bridge.webhooks.http.http_request import build_request
from kazoo_bridge.webhooks.http.sender import Outcome
from tests.webhooks.hook_factory import make_hook

OUTCOME = Outcome(
    False, 500, headers={"X-Echo": "Bearer hunter2!"}, body=b"\xff Bearer hunter2! / hunter2! / Bearer / 7"
)


def test_values_are_masked_in_the_request_and_in_echoes() -> None:
    hook = make_hook(headers={"Authorization": "Bearer hunter2!", "X-Tenant": "7"})
    request, outcome = hide_headers(hook, build_request(hook, {}, ""), OUTCOME)
    assert request.headers["authorization"] == request.headers["x-tenant"] == "********"
    assert request.headers["X-Hook-ID"] == "h1"
    assert outcome.headers == {"X-Echo": "********"}
    assert outcome.body == b"\xff ******** / ******** / Bearer / 7"
    assert (outcome.success, outcome.status) == (False, 500)


def test_a_hook_without_headers_changes_nothing() -> None:
    hook = make_hook()
    request = build_request(hook, {}, "")
    assert hide_headers(hook, request, OUTCOME) == (request, OUTCOME)
