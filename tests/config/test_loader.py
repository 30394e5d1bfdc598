from __future__ import annotations

from pathlib import Path

import pytest

from kazoo_bridge.config import Config, ConfigError, load
from tests.config.files import errors_of


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


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("127.0.0.0/8", ("127.0.0.0/8",)),
        (" 127.0.0.0/8 , ::1/128,", ("127.0.0.0/8", "::1/128")),
        ('["127.0.0.0/8", "::1/128"]', ("127.0.0.0/8", "::1/128")),
        ("[]", ()),
        ("", ()),
    ],
)
def test_lists_in_the_environment(text: str, networks: tuple[str, ...]) -> None:
    assert load(None, {"KAZOO_BRIDGE__EGRESS__ALLOWED_NETWORKS": text}).egress.allowed_networks == networks


@pytest.mark.parametrize("text", ["5, 30", "[5, 30]"])
def test_lists_of_numbers_in_the_environment(text: str) -> None:
    assert load(None, {"KAZOO_BRIDGE__WEBHOOKS__RETRY_SCHEDULE_S": text}).webhooks.retry_schedule_s == (5, 30)


@pytest.mark.parametrize(("text", "ratio"), [("0.25", 0.25), ("1", 1.0), ("0", 0.0)])
def test_numbers_with_a_fraction_in_the_environment_and_in_a_file(
    tmp_path: Path, text: str, ratio: float
) -> None:
    file = tmp_path / "bridge.toml"
    file.write_text(f"[opentelemetry]\nsample_ratio = {text}\n")
    for config in (
        load(None, {"KAZOO_BRIDGE__OPENTELEMETRY__SAMPLE_RATIO": text}),
        load(str(file), {}),
    ):
        assert config.opentelemetry.sample_ratio == ratio
        assert type(config.opentelemetry.sample_ratio) is float


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("EGRESS__ALLOWED_NETWORKS", "[127.0.0.0/8]", "expected a list of strings"),
        ("EGRESS__ALLOWED_NETWORKS", "[1]", "expected a list of strings"),
        ("WEBHOOKS__RETRY_SCHEDULE_S", "5, soon", "expected a list of whole numbers"),
        ("WEBHOOKS__DISABLE_DISABLER", "yes", "expected true or false"),
        ("AMQP__PREFETCH", "", "expected a whole number"),
        ("OPENTELEMETRY__SAMPLE_RATIO", "half", "expected a number"),
        ("OPENTELEMETRY__SAMPLE_RATIO", "-1", "expected a number"),
    ],
)
def test_values_in_the_environment_that_do_not_fit(key: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"{key.lower().replace('__', '.')}: {words}"):
        load(None, {f"KAZOO_BRIDGE__{key}": text})


def test_all_mistakes_are_reported_with_their_keys(tmp_path: Path) -> None:
    found = errors_of(
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
        "colour",
        "amqp.uri",
        "amqp.prefetch",
        "amqp.wings",
        "storage.uri",
        "http.endpoint",
        "webhooks.disable_disabler",
        "webhooks.request_timeout_ms",
        "webhooks.attempt_failure_count",
        "egress.allowed_networks",
        "directory.kind",
        "plugins.path",
        "kitchen",
        "KAZOO_BRIDGE__AMQP__WINGS",
    ):
        assert [line for line in found if line.startswith(f"{key}: ")], (key, found)
    assert len(found) == 14
    # In the order of the sections and their keys.
    keys = [line.split(":")[0] for line in found if "." in line.split(":")[0]]
    assert (
        keys.index("amqp.uri")
        < keys.index("amqp.prefetch")
        < keys.index("storage.uri")
        < keys.index("plugins.path")
    )
    assert not any("hunter2" in line or "\n" in line for line in found)


def test_a_file_that_is_not_there_or_not_toml(tmp_path: Path) -> None:
    assert "is not TOML" not in errors_of(tmp_path, "= nonsense")[0]
    assert "not TOML" in errors_of(tmp_path, "= nonsense")[0]
    with pytest.raises(ConfigError, match="cannot be read"):
        load(str(tmp_path / "none.toml"), {})


def test_a_section_that_is_a_value(tmp_path: Path) -> None:
    assert errors_of(tmp_path, "amqp = 3\n") == ("amqp: expected a section, [amqp]",)


@pytest.mark.parametrize("text", ["[5.0]", "[true]", "[9999999999999999999]", "[nan]"])
def test_every_delay_is_a_whole_number(tmp_path: Path, text: str) -> None:
    (mistake,) = errors_of(tmp_path, f"[webhooks]\nretry_schedule_s = {text}\n")
    assert mistake.startswith("webhooks.retry_schedule_s: expected a list of whole numbers")


def test_levels_of_the_log_are_a_table_or_a_list(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text('[log.levels]\nkazoo_bridge.bus = "debug"\n"kazoo_bridge.rest" = "warn"\n')
    expected = {"kazoo_bridge.bus": "debug", "kazoo_bridge.rest": "warn"}
    assert load(str(path), {}).log.levels_by_namespace == expected
    environ = {"KAZOO_BRIDGE__LOG__LEVELS": "kazoo_bridge.bus=debug, kazoo_bridge.rest=warn"}
    assert load(None, environ).log.levels_by_namespace == expected


@pytest.mark.parametrize(
    "text", ['{ a = "loud" }', '["a"]', '["a b=info"]', '["=info"]', "{ a = 5 }", "{ a = [] }", '"a=info"']
)
def test_wrong_levels_of_the_log(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text(f"[log]\nlevels = {text}\n")
    with pytest.raises(ConfigError, match=r"^log\.levels: expected "):
        load(str(path), {})


@pytest.mark.parametrize("variable", ["KAZOO_BRIDGE_AMQP_URI", "KAZOO_BRIDGE", "KAZOO_BRIDGES__AMQP__URI"])
def test_a_variable_of_the_environment_that_is_meant_as_a_key(variable: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(None, {variable: "x"})
    assert raised.value.errors == (f"{variable}: no such key; expected KAZOO_BRIDGE__SECTION__KEY",)


@pytest.mark.parametrize(
    "variable",
    [
        "KAZOO_BRIDGE_SERVICE_HOST",
        "KAZOO_BRIDGE_SERVICE_PORT_HTTP",
        "KAZOO_BRIDGE_PORT_8000_TCP_ADDR",
        "KAZOO_BRIDGE_REST_SERVICE_HOST",
        "KAZOO_BRIDGE_WS_PORT_5555_TCP_ADDR",
        "KAZOO_BRIDGE_ENV_PATH",
        "KAZOO",
    ],
)
def test_variables_of_kubernetes_are_ignored(variable: str) -> None:
    assert load(None, {variable: "tcp://10.0.0.1:8000"}) == Config()
