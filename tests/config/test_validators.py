from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kazoo_bridge.config import ConfigError, load
from kazoo_bridge.config.validators import (
    check_delays,
    check_folder,
    check_networks,
    check_optional_endpoint,
    check_origins,
    check_websocket_uri,
)
from kazoo_bridge.webhooks.egress import Proxy
from tests.config.files import make_certificate


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp:65536",
        "tcp:port=70000:interface=127.0.0.1",
        "ssl:99999999",
        "haproxy:tcp:99999:interface=\\:\\:1",
        "tcp:x",
        "systemd:domain=INET",
        "systemd:domain=IPX:index=0",
        "systemd:domain=INET:index=first",
    ],
)
def test_bad_endpoints(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"http\.endpoint: expected a Twisted endpoint"):
        load(None, {"KAZOO_BRIDGE__HTTP__ENDPOINT": endpoint})


@pytest.mark.parametrize(
    "endpoint",
    ["systemd:domain=INET:index=1", "systemd:domain=UNIX:name=rest", "haproxy:systemd:domain=INET6:index=0"],
)
def test_the_endpoint_of_a_socket_unit_is_fine_without_its_socket(endpoint: str) -> None:
    assert load(None, {"KAZOO_BRIDGE__HTTP__ENDPOINT": endpoint}).http.endpoint == endpoint


@pytest.mark.parametrize(
    "uri", ["amqp://h", "amqps://u:p@h:5671/%2F", "amqp://a,amqp://b:1", "amqp://[::1]:5672/v?heartbeat=5"]
)
def test_good_amqp_uris(tmp_path: Path, uri: str) -> None:
    assert load(None, {"KAZOO_BRIDGE__AMQP__URI": uri}).amqp.uri == uri


@pytest.mark.parametrize(
    "uri",
    ["", "amqp://", "amqp://h:port", "amqp://h,embedded:", "amqp://h:99999", "amqp://h/a/b", "amqp://h?x=1"],
)
def test_bad_amqp_uris(tmp_path: Path, uri: str) -> None:
    with pytest.raises(ConfigError, match=r"amqp\.uri: expected"):
        load(None, {"KAZOO_BRIDGE__AMQP__URI": uri})


def test_the_authority_of_a_broker_must_be_readable(tmp_path: Path) -> None:
    good = make_certificate(tmp_path, "ca")[0]
    assert load(None, {"KAZOO_BRIDGE__AMQP__URI": f"amqp://a,amqps://b?cacertfile={good}"}).amqp.uri
    with pytest.raises(
        ConfigError, match=r"^amqp\.uri: expected a PEM file, but '/no/such/file' cannot be read"
    ):
        load(None, {"KAZOO_BRIDGE__AMQP__URI": "amqp://a,amqps://b?cacertfile=/no/such/file"})


@pytest.mark.parametrize(
    "uri",
    ["sqlite:///", "sqlite:///:memory:", "sqlite:x", "postgresql+psycopg://u:hunter2@h:port/d"],
)
def test_storage_that_cannot_be_used_or_would_be_lost(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"storage\.uri: expected") as caught:
        load(None, {"KAZOO_BRIDGE__STORAGE__URI": uri})
    assert "hunter2" not in str(caught.value)


def test_postgresql_without_its_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"KAZOO_BRIDGE__STORAGE__URI": "postgresql+psycopg://u@h/d"}
    assert load(None, environ)
    monkeypatch.setattr("kazoo_bridge.config.validators.find_spec", lambda _name: None)
    with pytest.raises(
        ConfigError, match=r"storage\.uri: PostgreSQL needs .*pip install 'kazoo-bridge\[postgresql\]'"
    ):
        load(None, environ)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "http://proxy:3128",
        "http://u:p%40:x@proxy.example:8080/",
        "http://[::1]:3128",
        "HTTP://10.0.0.1:1",
    ],
)
def test_good_proxies(uri: str) -> None:
    config = load(None, {"KAZOO_BRIDGE__EGRESS__PROXY": uri})
    assert config.egress.proxy == uri
    assert Proxy.from_config(uri) is not None or not uri


@pytest.mark.parametrize(
    "uri",
    [
        "proxy",
        "proxy:3128",
        "https://hunter2@proxy:3128",
        "socks5://proxy:1080",
        "http://proxy",
        "http://hunter2@proxy:0",
        "http://u:hunter2@proxy:99999",
        "http://u:hunter2@@proxy:3128",
        "http://u:hunter2@proxy:3128/path",
        "http://-x:1",
        "http://127.1:1",
        "http://[::::]:1",
        "http://u%0d:hunter2@proxy:1",
        "http://ü:hunter2@proxy:1",
    ],
)
def test_bad_proxies_are_refused_without_being_repeated(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"egress\.proxy: expected") as caught:
        load(None, {"KAZOO_BRIDGE__EGRESS__PROXY": uri})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("delays", [(), (1,), (604_800,), tuple(range(1, 31))])
def test_good_delays(delays: tuple[int, ...]) -> None:
    check_delays(delays)


@pytest.mark.parametrize("delays", [(0,), (-1,), (604_801,), tuple(range(1, 32))])
def test_bad_delays(delays: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match="expected at most 30 whole numbers of seconds, each from 1 to 604800"
    ):
        check_delays(delays)


@pytest.mark.parametrize("networks", [(), ("10.0.0.0/8",), ("fc00::/7", "192.0.2.1")])
def test_good_networks(networks: tuple[str, ...]) -> None:
    check_networks(networks)


@pytest.mark.parametrize("network", ["10.0.0.1/8", "localhost", "10.0.0.0/33", ""])
def test_bad_networks(network: str) -> None:
    with pytest.raises(ValueError, match="expected networks such as"):
        check_networks(("10.0.0.0/8", network))


@pytest.mark.parametrize("origin", ["*", "null", "https://portal.example.com", "https://*.example.com:8443"])
def test_good_origins(origin: str) -> None:
    check_origins((origin,))


@pytest.mark.parametrize("origin", ["", "portal.example.com", "https://", "https://a/b", "https://a b"])
def test_bad_origins(origin: str) -> None:
    with pytest.raises(ValueError, match="expected origins such as"):
        check_origins((origin,))


@pytest.mark.parametrize("uri", ["", "ws://host:5555/", "wss://host/path", "ws://[::1]:5555"])
def test_good_websocket_uris(uri: str) -> None:
    check_websocket_uri(uri)


@pytest.mark.parametrize("uri", ["http://host/", "ws://", "ws://a b/", "wss://host:port/"])
def test_bad_websocket_uris(uri: str) -> None:
    with pytest.raises(ValueError, match="expected ws://host:port/ or wss://host/path"):
        check_websocket_uri(uri)


def test_a_folder_must_exist(tmp_path: Path) -> None:
    check_folder("")
    check_folder(str(tmp_path))
    for path in (tmp_path / "missing", Path(__file__)):
        with pytest.raises(ValueError, match="expected an existing folder"):
            check_folder(str(path))


@pytest.mark.parametrize(
    "uri",
    ["http://crossbar:8000/v2", "https://api.example.com/v2/", "http://[::1]:8000/v2", "http://10.0.0.1"],
)
def test_good_crossbar_uris(uri: str) -> None:
    assert load(None, {"KAZOO_BRIDGE__CROSSBAR__URI": uri}).crossbar.uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "crossbar:8000",
        "http://",
        "ftp://host/v2",
        "http://user:hunter2@host/v2",
        "http://host:99999/v2",
        "http://host:0/v2",
        "http://host/v2?x=hunter2",
        "http://host/a b",
        "http://host/v2#x",
    ],
)
def test_bad_crossbar_uris(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"crossbar\.uri: expected http://host:8000/v2") as caught:
        load(None, {"KAZOO_BRIDGE__CROSSBAR__URI": uri})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", ["hunter2 and more", "hunter2\n", "hunter2" * 40, "hünter2"])
def test_bad_api_keys(key: str) -> None:
    with pytest.raises(ConfigError, match=r"crossbar\.api_key: expected an API key") as caught:
        load(None, {"KAZOO_BRIDGE__CROSSBAR__API_KEY": key})
    assert "nter2" not in str(caught.value)


def test_an_endpoint_may_be_left_out() -> None:
    check_optional_endpoint("")
    check_optional_endpoint("tcp:9464:interface=127.0.0.1")
    with pytest.raises(ValueError, match="expected a Twisted endpoint"):
        check_optional_endpoint("9464")


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:4318/v1/traces", "https://[::1]/v1/traces"])
def test_urls_of_collectors(url: str) -> None:
    assert load(None, {"KAZOO_BRIDGE__OPENTELEMETRY__ENDPOINT": url}).opentelemetry.endpoint == url


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:4318", "grpc://h:4317", "http://u:hunter2@h/v1/traces", "http://h:99999/", "http://h/ x"],
)
def test_urls_that_are_not_those_of_collectors(url: str) -> None:
    with pytest.raises(ConfigError, match=r"opentelemetry\.endpoint: expected http://host:4318") as caught:
        load(None, {"KAZOO_BRIDGE__OPENTELEMETRY__ENDPOINT": url})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"])
def test_spans_without_the_extra_say_what_to_install(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    def find(name: str) -> Any:
        if name == missing:
            raise ModuleNotFoundError(name)
        return object()

    environ = {"KAZOO_BRIDGE__OPENTELEMETRY__ENDPOINT": "http://127.0.0.1:4318/v1/traces"}
    monkeypatch.setattr("kazoo_bridge.config.validators.find_spec", find)
    with pytest.raises(
        ConfigError, match=r"opentelemetry\.endpoint: spans need .*pip install 'kazoo-bridge\[otel\]'"
    ):
        load(None, environ)
    monkeypatch.setattr("kazoo_bridge.config.validators.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match="spans need"):
        load(None, environ)
