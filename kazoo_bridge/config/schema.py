"""The sections of the configuration: every key, its default and what it may be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import field, frozen

from kazoo_bridge.config.certificates import certificate_pair, certificates, private_key
from kazoo_bridge.config.private_networks import NON_PUBLIC_NETWORKS
from kazoo_bridge.config.validators import (
    Check,
    amqp_uri,
    at_least,
    between,
    delays,
    endpoint,
    folder,
    matching,
    networks,
    one_of,
    origins,
    proxy_uri,
    storage_uri,
    websocket_uri,
)


def _key(default: Any, check: Check | None = None, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"check": check})


@frozen
class Amqp:
    """Where the messages come from."""

    uri: str = _key("embedded:", amqp_uri, secret=True)
    queue: str = _key(
        "kazoo_bridge.webhooks",
        matching(r"(?!amq\.)[\x21-\x7e]{1,255}", "a queue name of 1 to 255 printable characters"),
    )
    queue_type: str = _key("quorum", one_of("quorum", "classic"))
    prefetch: int = _key(500, between(1, 65535))


@frozen
class Storage:
    """Where hooks, accounts and tokens are kept."""

    uri: str = _key("sqlite:///kazoo-bridge.sqlite3", storage_uri, secret=True)


@frozen
class Http:
    """Where REST is served, and how much of it a client may have."""

    endpoint: str = _key("tcp:8000:interface=127.0.0.1", endpoint)
    requests_per_second: int = _key(50, between(0, 1_000_000))
    request_burst: int = _key(500, between(1, 1_000_000))
    request_timeout_s: int = _key(30, between(1, 3600))
    idle_timeout_s: int = _key(60, between(1, 3600))
    max_connections: int = _key(500, at_least(0))
    max_connections_per_ip: int = _key(100, at_least(0))


@frozen
class Websockets:
    """Where websockets are served, and what one of them may cost. Times are in seconds."""

    endpoint: str = _key("tcp:5555:interface=127.0.0.1", endpoint)
    max_connections_per_ip: int = _key(0, at_least(0))
    max_connections: int = _key(10_000, at_least(0))
    max_connections_per_account: int = _key(0, at_least(0))
    max_subscriptions: int = _key(1000, between(1, 100_000))
    max_message_bytes: int = _key(65_536, between(1024, 16_777_216))
    rate_per_second: int = _key(10, between(1, 1_000_000))
    rate_burst: int = _key(100, between(1, 1_000_000))
    handshake_timeout_s: int = _key(10, between(1, 600))
    authentication_timeout_s: int = _key(60, between(1, 86_400))
    ping_interval_s: int = _key(30, between(1, 3600))
    idle_timeout_s: int = _key(3600, between(1, 604_800))
    send_buffer_bytes: int = _key(262_144, between(4096, 268_435_456))
    max_dropped_events: int = _key(10_000, between(1, 100_000_000))
    resume_window_s: int = _key(120, between(0, 86_400))
    resume_events: int = _key(1000, between(1, 100_000))
    allowed_origins: tuple[str, ...] = _key(("*",), origins)
    trusted_proxies: tuple[str, ...] = _key((), networks)


@frozen
class Calls:
    """Questions about live calls. Times are in milliseconds."""

    query_timeout_ms: int = _key(2000, between(10, 60_000))


@frozen
class Webhooks:
    """How webhooks are sent. Times are in milliseconds."""

    request_timeout_ms: int = _key(10_000, between(1, 600_000))
    connect_timeout_ms: int = _key(10_000, between(1, 600_000))
    attempt_failure_count: int = _key(6, at_least(1))
    attempt_failure_expiry_ms: int = _key(60_000, at_least(1))
    disable_disabler: bool = _key(False)
    log_successful_attempts: bool = _key(False)
    attempt_retention_days: int = _key(30, between(1, 3650))
    attempt_body_limit: int = _key(4096, between(0, 65536))
    retry_bad_status: bool = _key(True)
    retry_schedule_s: tuple[int, ...] = _key(
        (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 21_600, 28_800), delays
    )
    pending_max_age_s: int = _key(3 * 86_400, at_least(1))
    pending_max_per_hook: int = _key(100_000, at_least(1))
    dead_retention_days: int = _key(30, between(1, 3650))
    dead_max_per_hook: int = _key(10_000, at_least(1))
    max_hooks_per_account: int = _key(1000, at_least(0))
    max_requests: int = _key(256, between(1, 10_000))
    max_requests_per_hook: int = _key(32, between(1, 10_000))
    cluster_id: str = _key(
        "", matching(r"[\x21-\x7e]{0,128}", "at most 128 printable characters without spaces")
    )


@frozen
class Egress:
    """Where webhooks may go."""

    denied_networks: tuple[str, ...] = _key(NON_PUBLIC_NETWORKS, networks)
    allowed_networks: tuple[str, ...] = _key((), networks)
    max_redirects: int = _key(0, between(0, 10))
    ca_bundle: str = _key("", certificates)
    client_certificate: str = _key("", certificates)
    client_key: str = _key("", private_key)
    proxy: str = _key("", proxy_uri, secret=True)

    def mistakes(self) -> Iterator[str]:
        """What is wrong with keys that are right by themselves."""
        if self.client_key and not self.client_certificate:
            yield "egress.client_key: a key without a certificate; set egress.client_certificate"
        elif self.client_certificate:
            try:
                certificate_pair(self.client_certificate, self.client_key or self.client_certificate)
            except ValueError as error:
                yield f"egress.{'client_key' if self.client_key else 'client_certificate'}: {error}"


@frozen
class Console:
    """The operator console."""

    websocket_uri: str = _key("", websocket_uri)


@frozen
class Directory:
    """Who answers for accounts and tokens."""

    kind: str = _key("local", one_of("local"))


@frozen
class Plugins:
    """Where ops' own categories lie."""

    path: str = _key("", folder)


@frozen
class Config:
    """The whole configuration, checked."""

    amqp: Amqp = Amqp()
    storage: Storage = Storage()
    http: Http = Http()
    websockets: Websockets = Websockets()
    calls: Calls = Calls()
    webhooks: Webhooks = Webhooks()
    egress: Egress = Egress()
    console: Console = Console()
    directory: Directory = Directory()
    plugins: Plugins = Plugins()
