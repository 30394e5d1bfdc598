from __future__ import annotations

from pathlib import Path

import pytest

from kazoo_bridge.config import Config, ConfigError, load


def mistakes_of(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    path = tmp_path / "bridge.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(str(path), environ or {})
    return caught.value.mistakes


def test_without_a_file_the_defaults_of_the_contract() -> None:
    config = load(None, {"HOME": "/root"})
    assert config == Config()
    assert config.amqp.uri == "embedded:"
    assert config.amqp.queue == "kazoo_bridge.webhooks"
    assert config.storage.uri == "sqlite:///kazoo-bridge.sqlite3"
    assert config.http.endpoint == "tcp:8000:interface=127.0.0.1"
    assert config.webhooks.attempt_failure_count == 6
    assert "127.0.0.0/8" in config.egress.denied_networks


def test_file_and_environment(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text('[amqp]\nprefetch = 7\nqueue = "q"\n[egress]\nallowed_networks = ["127.0.0.0/8"]\n')
    environ = {
        "KAZOO_BRIDGE__AMQP__PREFETCH": "8",
        "KAZOO_BRIDGE__WEBHOOKS__DISABLE_DISABLER": "true",
        "KAZOO_BRIDGE__EGRESS__DENIED_NETWORKS": "10.0.0.0/8, fc00::/7",
    }
    config = load(str(path), environ)
    assert (config.amqp.prefetch, config.amqp.queue) == (8, "q")
    assert config.webhooks.disable_disabler is True
    assert config.egress.denied_networks == ("10.0.0.0/8", "fc00::/7")
    assert config.egress.allowed_networks == ("127.0.0.0/8",)


def test_every_mistake_is_told_at_once_with_its_key(tmp_path: Path) -> None:
    told = mistakes_of(
        tmp_path,
        """
        colour = "red"
        [amqp]
        uri = "http://guest:hunter2@host/"
        prefetch = "many"
        wings = 2
        [storage]
        uri = "mysql://root:hunter2@x"
        [http]
        endpoint = "carrier-pigeon:8"
        [webhooks]
        disable_disabler = 1
        request_timeout_ms = 0
        [egress]
        allowed_networks = ["10.0.0.1/8"]
        [directory]
        kind = "phonebook"
        [plugins]
        path = "/no/such/folder"
        [kitchen]
        sink = 1
        """,
        {"KAZOO_BRIDGE__AMQP__WINGS": "3", "KAZOO_BRIDGE__WEBHOOKS__ATTEMPT_FAILURE_COUNT": "x"},
    )
    for key in (
        "colour", "amqp.uri", "amqp.prefetch", "amqp.wings", "storage.uri", "http.endpoint", "webhooks.disable_disabler",
        "webhooks.request_timeout_ms", "webhooks.attempt_failure_count", "egress.allowed_networks", "directory.kind",
        "plugins.path", "kitchen", "KAZOO_BRIDGE__AMQP__WINGS",
    ):  # fmt: skip
        assert [line for line in told if line.startswith(f"{key}: ")], (key, told)
    assert len(told) == 14
    assert not any("hunter2" in line or "\n" in line for line in told)


@pytest.mark.parametrize("uri", ["amqp://h", "amqps://u:p@h:5671/%2F", "amqp://a,amqp://b:1", "amqp://[::1]:5672/v?heartbeat=5"])
def test_good_amqp_uris(tmp_path: Path, uri: str) -> None:
    assert load(None, {"KAZOO_BRIDGE__AMQP__URI": uri}).amqp.uri == uri


@pytest.mark.parametrize("uri", ["", "amqp://", "amqp://h:port", "amqp://h,embedded:", "amqp://h:99999"])
def test_bad_amqp_uris(tmp_path: Path, uri: str) -> None:
    with pytest.raises(ConfigError, match=r"amqp\.uri: expected"):
        load(None, {"KAZOO_BRIDGE__AMQP__URI": uri})


def test_secrets_are_not_in_the_repr(tmp_path: Path) -> None:
    config = load(
        None, {"KAZOO_BRIDGE__AMQP__URI": "amqp://u:hunter2@h", "KAZOO_BRIDGE__STORAGE__URI": "postgresql+psycopg://u:hunter2@h/d"}
    )
    assert "hunter2" not in repr(config)


def test_a_file_that_is_not_there_or_not_toml(tmp_path: Path) -> None:
    assert "is not TOML" not in mistakes_of(tmp_path, "= nonsense")[0]
    assert "not TOML" in mistakes_of(tmp_path, "= nonsense")[0]
    with pytest.raises(ConfigError, match="cannot be read"):
        load(str(tmp_path / "none.toml"), {})


def test_a_section_that_is_a_value(tmp_path: Path) -> None:
    assert mistakes_of(tmp_path, "amqp = 3\n") == ("amqp: expected a section, [amqp]",)


def test_the_example_shows_the_defaults() -> None:
    example = Path(__file__).parent.parent / "etc" / "kazoo-bridge.toml"
    assert load(str(example), {}) == Config()


@pytest.mark.parametrize("uri", ["sqlite:///", "sqlite:///:memory:", "sqlite:x"])
def test_storage_that_would_be_lost(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"storage\.uri: expected"):
        load(None, {"KAZOO_BRIDGE__STORAGE__URI": uri})
