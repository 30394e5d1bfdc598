from __future__ import annotations

from kazoo_bridge.rest.http.routing import make_app
from kazoo_bridge.rest.routes import build_resources
from tests.rest.harness import RestHarness


def test_no_two_resources_serve_the_same_method_of_a_path(rest: RestHarness) -> None:
    served: set[tuple[str, str]] = set()
    for rule in make_app(build_resources(rest.node.rest_services())).url_map.iter_rules():
        for method in rule.methods or ():
            assert (method, rule.rule) not in served
            served.add((method, rule.rule))
    assert {("GET", "/healthz"), ("PUT", "/v2/accounts/<account_id>/webhooks")} <= served
