"""Counts the requests that REST has answered, by route and status, for Prometheus."""

from __future__ import annotations

from collections import Counter

from prometheus_client import CollectorRegistry
from twisted.web.http import UNAUTHORIZED

from kazoo_bridge.metrics import register_counters

#: The route of requests that have none: an unknown path or method, or a limit that refuses them.
NO_ROUTE = "none"

#: Paths of routes where clients send an API key or a password.
_LOGIN_PATHS = ("/v2/api_auth", "/v2/user_auth")


class RequestMetrics:
    """Counts of requests. `auth_failures` counts the answers 401, by ``rest`` and ``login``."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, ...]] = Counter()
        self.auth_failures = {"rest": 0, "login": 0}

    def count(self, route: str, status: int) -> None:
        """Count an answered request. `route` is its method and the pattern of its path; empty: none."""
        self._requests[route or NO_ROUTE, f"{status // 100}xx"] += 1
        if status == UNAUTHORIZED:
            is_login = route.partition(" ")[2].startswith(_LOGIN_PATHS)
            self.auth_failures["login" if is_login else "rest"] += 1

    def register(self, registry: CollectorRegistry) -> None:
        """Export the counts of requests in `registry`."""
        register_counters(
            registry,
            "http_requests",
            "Requests that REST has answered",
            ("route", "status"),
            lambda: self._requests,
        )
