"""The sections of the configuration: every key with its default and its valid values.

The validators are attrs validators, so a section cannot be made with a value that is not valid, whether the
values come from a file or from a test. Units are in the names of keys (``_s``, ``_ms``, ``_bytes``).
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from kazoo_bridge.config.amqp_uris import parse_uris
from kazoo_bridge.config.certificates import check_certificates, check_key_pair, check_private_key
from kazoo_bridge.config.keys import checked, choice, integer, ratio, text
from kazoo_bridge.config.private_networks import NON_PUBLIC_NETWORKS
from kazoo_bridge.config.public_keys import check_public_keys
from kazoo_bridge.config.validators import (
    LOG_LEVELS,
    check_amqp_uri,
    check_amqp_zones,
    check_api_key,
    check_base_uri,
    check_callflow_modules,
    check_couch_uri,
    check_crossbar_uri,
    check_delays,
    check_directory_kinds,
    check_endpoint,
    check_folder,
    check_log_levels,
    check_networks,
    check_optional_endpoint,
    check_origins,
    check_otlp_endpoint,
    check_proxy_uri,
    check_region,
    check_storage_uri,
    check_websocket_uri,
)


@frozen
class Amqp:
    """The message bus."""

    uri: str = checked("embedded:", check_amqp_uri, secret=True)
    queue: str = text(
        "kazoo_bridge.webhooks",
        r"(?!amq\.)[\x21-\x7e]{1,255}",
        "a queue name of 1 to 255 printable characters",
    )
    queue_type: str = choice("quorum", "quorum", "classic")
    prefetch: int = integer(500, 1, 65535)
    queue_max_bytes: int = integer(1024**3, 0, 2**50)
    queue_max_age_s: int = integer(3 * 86400, 0, 365 * 86400)
    zones: tuple[str, ...] = checked((), check_amqp_zones, secret=True)

    @property
    def is_embedded(self) -> bool:
        """Whether the bus is inside the process."""
        return self.uri.strip() == "embedded:"

    def errors(self) -> Iterator[str]:
        """Yield what is wrong with keys that are valid by themselves, one line each."""
        if not self.zones:
            return
        if self.is_embedded:
            yield "amqp.zones: the embedded bus has no other zones; set amqp.uri to the home zone's broker"
            return
        names = {uri.label: "amqp.uri" for uri in parse_uris(self.uri)}
        for number, zone in enumerate(self.zones, 1):
            for label in {uri.label: None for uri in parse_uris(zone)}:
                other = names.setdefault(label, f"zone {number}")
                if other != f"zone {number}":
                    # Each of its events would be delivered twice.
                    yield f"amqp.zones: the broker {label} of zone {number} is that of {other}, too"


@frozen
class Storage:
    """The database of hooks, accounts and tokens."""

    uri: str = checked("sqlite:///kazoo-bridge.sqlite3", check_storage_uri, secret=True)
    backup_before_upgrade: bool = True


@frozen
class Http:
    """The REST server, and the limits of a client."""

    endpoint: str = checked("tcp:8000:interface=127.0.0.1", check_endpoint)
    requests_per_second: int = integer(50, 0, 1_000_000)
    request_burst: int = integer(500, 1, 1_000_000)
    request_timeout_s: int = integer(30, 1, 3600)
    idle_timeout_s: int = integer(60, 1, 3600)
    max_connections: int = integer(500, 0)
    max_connections_per_ip: int = integer(100, 0)
    connections_per_second: int = integer(50, 0, 1_000_000)
    connection_burst: int = integer(200, 1, 1_000_000)
    max_page_bytes: int = integer(1_048_576, 65_536, 67_108_864)


@frozen
class Metrics:
    """Where the metrics for Prometheus are served; empty: beside REST."""

    endpoint: str = checked("", check_optional_endpoint)


@frozen
class Websockets:
    """The websocket server, and the limits of a client."""

    endpoint: str = checked("tcp:5555:interface=127.0.0.1", check_endpoint)
    max_connections_per_ip: int = integer(200, 0)
    max_connections: int = integer(10_000, 0)
    max_unauthenticated: int = integer(4000, 0)
    max_unauthenticated_per_ip: int = integer(100, 0)
    max_connections_per_account: int = integer(5000, 0)
    max_subscriptions: int = integer(1000, 1, 100_000)
    max_subscriptions_per_account: int = integer(20_000, 0)
    max_message_bytes: int = integer(65_536, 1024, 16_777_216)
    rate_per_second: int = integer(10, 1, 1_000_000)
    rate_burst: int = integer(100, 1, 1_000_000)
    handshake_timeout_s: int = integer(10, 1, 600)
    authentication_timeout_s: int = integer(60, 1, 86_400)
    ping_interval_s: int = integer(30, 1, 3600)
    idle_timeout_s: int = integer(3600, 1, 604_800)
    close_on_expiry: bool = True
    send_buffer_bytes: int = integer(262_144, 4096, 268_435_456)
    max_dropped_events: int = integer(10_000, 1, 100_000_000)
    resume_window_s: int = integer(120, 0, 86_400)
    resume_events: int = integer(1000, 1, 100_000)
    resume_bytes_per_account: int = integer(67_108_864, 0)
    resume_bytes: int = integer(536_870_912, 0)
    allowed_origins: tuple[str, ...] = checked(("*",), check_origins)
    trusted_proxies: tuple[str, ...] = checked((), check_networks)


@frozen
class Calls:
    """Queries of live calls, commands to them, and new calls."""

    query_timeout_ms: int = integer(2000, 10, 60_000)
    check_urls: bool = True
    allow_eavesdrop: bool = False
    new_calls_per_minute: int = integer(60, 1, 6000)
    system_wide_channels: bool = True


@frozen
class Pivot:
    """Pivot points: where KAZOO reaches them, and their bounds."""

    base_uri: str = checked("", check_base_uri)
    kazoo_networks: tuple[str, ...] = checked((), check_networks)
    max_requests_per_account: int = integer(100, 1, 100_000)
    own_modules: tuple[str, ...] = checked((), check_callflow_modules)


@frozen
class Webhooks:
    """Where hooks come from, and how webhooks are sent, retried and disabled."""

    source: str = choice("storage", "storage", "couchdb")
    request_timeout_ms: int = integer(10_000, 1, 600_000)
    connect_timeout_ms: int = integer(10_000, 1, 600_000)
    attempt_failure_count: int = integer(6, 1)
    attempt_failure_expiry_ms: int = integer(60_000, 1)
    disable_disabler: bool = False
    self_healing: bool = True
    probe_after_s: int = integer(30, 1, 600)
    give_up_after_s: int = integer(3 * 86_400, 1)
    log_successful_attempts: bool = False
    attempt_retention_days: int = integer(30, 1, 3650)
    attempt_body_limit: int = integer(4096, 0, 65536)
    attempt_head_limit: int = integer(4096, 256, 65536)
    attempts_max_per_hook: int = integer(10_000, 100, 10_000_000)
    attempts_max_per_account: int = integer(50_000, 100, 10_000_000)
    tests_per_minute: int = integer(60, 1, 1_000_000)
    attempt_payload_limit: int = integer(16_384, 0, 1_048_576)
    retry_bad_status: bool = True
    retry_schedule_s: tuple[int, ...] = checked(
        (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 21_600, 28_800), check_delays
    )
    pending_max_age_s: int = integer(3 * 86_400, 1)
    pending_max_per_hook: int = integer(100_000, 1)
    dead_retention_days: int = integer(30, 1, 3650)
    dead_max_per_hook: int = integer(10_000, 1)
    max_hooks_per_account: int = integer(1000, 0)
    max_requests: int = integer(256, 1, 10_000)
    max_requests_per_hook: int = integer(32, 1, 10_000)
    keep_alive_s: int = integer(15, 0, 3600)
    max_body_bytes: int = integer(1_048_576, 1024, 16_777_216)
    cluster_id: str = text("", r"[\x21-\x7e]{0,128}", "at most 128 printable characters without spaces")


@frozen
class Egress:
    """Where webhooks may go, and with which certificates."""

    denied_networks: tuple[str, ...] = checked(NON_PUBLIC_NETWORKS, check_networks)
    allowed_networks: tuple[str, ...] = checked((), check_networks)
    max_redirects: int = integer(3, 0, 10)
    redirect_bodies: bool = False
    ca_bundle: str = checked("", check_certificates)
    client_certificate: str = checked("", check_certificates)
    client_key: str = checked("", check_private_key)
    proxy: str = checked("", check_proxy_uri, secret=True)

    def errors(self) -> Iterator[str]:
        """Yield what is wrong with keys that are valid by themselves, one line each."""
        if self.client_key and not self.client_certificate:
            yield "egress.client_key: a key without a certificate; set egress.client_certificate"
        elif self.client_certificate:
            try:
                check_key_pair(self.client_certificate, self.client_key or self.client_certificate)
            except ValueError as error:
                yield f"egress.{'client_key' if self.client_key else 'client_certificate'}: {error}"


@frozen
class Console:
    """The operator console."""

    websocket_uri: str = checked("", check_websocket_uri)


@frozen
class Directory:
    """The sources of accounts and tokens."""

    kind: str | tuple[str, ...] = checked("local", check_directory_kinds)
    default_region: str = checked("US", check_region)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds in the order in which they are asked."""
        return (self.kind,) if isinstance(self.kind, str) else self.kind


@frozen
class Couchdb:
    """KAZOO's databases, for the directory of the kind ``couchdb`` and ``webhooks.source = "couchdb"``."""

    uri: str = checked("", check_couch_uri, secret=True)
    request_timeout_ms: int = integer(5000, 10, 120_000)
    recheck_s: int = integer(5, 1, 3600)
    max_stale_s: int = integer(3600, 0, 604_800)


@frozen
class Crossbar:
    """KAZOO's REST, asked by the directory of the kind ``crossbar``."""

    uri: str = checked("", check_crossbar_uri)
    api_key: str = checked("", check_api_key, secret=True)
    request_timeout_ms: int = integer(5000, 10, 120_000)
    max_requests: int = integer(64, 1, 1000)
    cache_s: int = integer(60, 1, 86_400)
    max_stale_s: int = integer(900, 0, 604_800)


@frozen
class Jwt:
    """Tokens that are verified with public keys, by the directory of the kind ``jwt``."""

    keys: str = checked("", check_public_keys)
    issuer: str = text("kazoo", r"[\x20-\x7e]{1,256}", "1 to 256 printable characters")


@frozen
class Trace:
    """What a node keeps in memory for ``kazoo-bridge trace``."""

    events: int = integer(10_000, 0, 1_000_000)


@frozen
class Opentelemetry:
    """Where spans of events, delivery attempts and commands go."""

    endpoint: str = checked("", check_otlp_endpoint)
    sample_ratio: float = ratio(1.0)


@frozen
class Plugins:
    """Event categories that are not built in."""

    path: str = checked("", check_folder)


@frozen
class Log:
    """Which lines are logged, and their format."""

    level: str = choice("info", *LOG_LEVELS)
    levels: tuple[str, ...] = checked((), check_log_levels, may_be_table=True)
    format: str = choice("text", "text", "json", "journal")
    access_log: bool = True

    @property
    def levels_by_namespace(self) -> dict[str, str]:
        """The levels of single namespaces."""
        pairs = (one.partition("=") for one in self.levels)
        return {namespace.strip(): level.strip() for namespace, _, level in pairs}


@frozen
class NodeSection:
    """This node among those of the cluster."""

    name: str = text(
        "",
        r"[A-Za-z0-9_.@-]{0,128}",
        "a name of at most 128 characters of A-Z, a-z, 0-9, '_', '-', '.' and '@', or nothing",
    )
    processes: int = integer(1, 1, 64)


@frozen
class Config:
    """The whole configuration. Every value is valid."""

    amqp: Amqp = Amqp()
    storage: Storage = Storage()
    http: Http = Http()
    metrics: Metrics = Metrics()
    websockets: Websockets = Websockets()
    calls: Calls = Calls()
    pivot: Pivot = Pivot()
    webhooks: Webhooks = Webhooks()
    egress: Egress = Egress()
    console: Console = Console()
    directory: Directory = Directory()
    couchdb: Couchdb = Couchdb()
    crossbar: Crossbar = Crossbar()
    jwt: Jwt = Jwt()
    plugins: Plugins = Plugins()
    log: Log = Log()
    node: NodeSection = NodeSection()
    trace: Trace = Trace()
    opentelemetry: Opentelemetry = Opentelemetry()

    def errors(self) -> Iterator[str]:
        """Yield what the kinds of the directory and the source of hooks need, but is not there."""
        needed = {
            "couchdb": {"couchdb.uri": self.couchdb.uri},
            "crossbar": {"crossbar.uri": self.crossbar.uri, "crossbar.api_key": self.crossbar.api_key},
            "jwt": {"jwt.keys": self.jwt.keys},
        }
        for kind in self.directory.kinds:
            for key, value in needed.get(kind, {}).items():
                if not value:
                    yield f"{key}: expected a value, because directory.kind has {kind!r}"
        if (
            self.webhooks.source == "couchdb"
            and "couchdb" not in self.directory.kinds
            and not self.couchdb.uri
        ):
            yield "couchdb.uri: expected a value, because webhooks.source is 'couchdb'"
        if self.node.processes > 1 and self.amqp.is_embedded:
            yield "node.processes: expected 1, because the bus of amqp.uri 'embedded:' is inside one process"
