from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from attrs import evolve, fields, fields_dict

from kazoo_bridge.config import Amqp, Config, ConfigError, Egress, Http, Webhooks, load
from tests.config.files import errors_of, make_certificate


def test_without_a_file_the_defaults_of_the_contract() -> None:
    config = load(None, {"HOME": "/root"})
    assert config == Config()
    assert config.amqp.uri == "embedded:"
    assert config.amqp.queue == "kazoo_bridge.webhooks"
    assert config.amqp.prefetch == 500
    assert config.storage.uri == "sqlite:///kazoo-bridge.sqlite3"
    assert config.http.endpoint == "tcp:8000:interface=127.0.0.1"
    assert config.websockets.endpoint == "tcp:5555:interface=127.0.0.1"
    assert config.websockets.max_connections_per_ip == 200
    assert config.webhooks.request_timeout_ms == 10000
    assert config.webhooks.connect_timeout_ms == 10000
    assert config.webhooks.attempt_failure_count == 6
    assert config.webhooks.attempt_failure_expiry_ms == 60000
    assert config.webhooks.disable_disabler is False
    assert config.webhooks.log_successful_attempts is False
    assert {"127.0.0.0/8", "10.0.0.0/8", "169.254.0.0/16", "::1/128", "fc00::/7"} <= set(
        config.egress.denied_networks
    )
    assert config.egress.allowed_networks == ()
    assert config.directory.kind == "local"
    assert config.plugins.path == ""


def test_the_example_shows_the_defaults() -> None:
    example = Path(__file__).parents[2] / "etc" / "kazoo-bridge.toml"
    assert load(str(example), {}) == Config()


def test_the_example_and_the_reference_name_every_key() -> None:
    root = Path(__file__).parents[2]
    example = (root / "etc" / "kazoo-bridge.toml").read_text()
    reference = (root / "docs" / "reference" / "configuration.md").read_text()
    for section in fields(Config):
        for key in fields(type(getattr(Config(), section.name))):
            assert re.search(rf"^(# )?{key.name} = ", example, re.MULTILINE), (section.name, key.name)
            assert f"`{section.name}.{key.name}`" in reference, (section.name, key.name)


def test_documents_name_only_keys_that_exist() -> None:
    root = Path(__file__).parents[2]
    sections = {section.name: type(getattr(Config(), section.name)) for section in fields(Config)}
    key = re.compile(rf"`({'|'.join(sections)})\.([a-z_]+)`")
    for page in (*root.glob("docs/*/*.md"), root / "README.md", *root.glob("changelog.d/+*.md")):
        for section, name in key.findall(page.read_text()):
            assert name in fields_dict(sections[section]), (page.name, section, name)


def test_the_security_model_states_the_defaults() -> None:
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "security-model.md").read_text()
    units = {"": 1, "MiB": 2**20, "GiB": 2**30}
    stated = re.findall(r"`(\w+)\.(\w+)` ([0-9]+(?: [0-9]{3})*)(?: ([MG]iB))?", page)
    assert len(stated) > 40
    for section, name, number, unit in stated:
        default = getattr(getattr(Config(), section), name)
        assert int(number.replace(" ", "")) * units[unit] == default, (section, name)


def test_secrets_are_not_in_the_repr(tmp_path: Path) -> None:
    config = load(
        None,
        {
            "KAZOO_BRIDGE__AMQP__URI": "amqp://u:hunter2@h",
            "KAZOO_BRIDGE__AMQP__ZONES": "amqp://u:hunter2@zone",
            "KAZOO_BRIDGE__STORAGE__URI": "postgresql+psycopg://u:hunter2@h/d",
        },
    )
    assert "hunter2" not in repr(config)


def test_an_api_key_is_not_in_the_repr() -> None:
    assert "hunter2" not in repr(load(None, {"KAZOO_BRIDGE__CROSSBAR__API_KEY": "hunter2"}))


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ('"local"', ("local",)),
        ('["local"]', ("local",)),
        ('["local", "crossbar"]', ("local", "crossbar")),
        ('"crossbar"', ("crossbar",)),
    ],
)
def test_the_kinds_of_the_directory(tmp_path: Path, text: str, kinds: tuple[str, ...]) -> None:
    path = tmp_path / "bridge.toml"
    crossbar = '[crossbar]\nuri = "http://crossbar.example.com:8000/v2"\napi_key = "key"\n'
    path.write_text(f"[directory]\nkind = {text}\n{crossbar}")
    assert load(str(path), {}).directory.kinds == kinds
    variable = {"KAZOO_BRIDGE__DIRECTORY__KIND": text.replace('"', "") if "[" not in text else text}
    path.write_text(crossbar)
    assert load(str(path), variable).directory.kinds == kinds


def test_kinds_separated_by_commas() -> None:
    environ = {
        "KAZOO_BRIDGE__DIRECTORY__KIND": "crossbar, local",
        "KAZOO_BRIDGE__CROSSBAR__URI": "https://[::1]/v2",
        "KAZOO_BRIDGE__CROSSBAR__API_KEY": "key",
    }
    assert load(None, environ).directory.kinds == ("crossbar", "local")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            '[directory]\nkind = ["couchdb", "crossbar", "jwt"]\n',
            (
                "couchdb.uri: expected a value, because directory.kind has 'couchdb'",
                "crossbar.uri: expected a value, because directory.kind has 'crossbar'",
                "crossbar.api_key: expected a value, because directory.kind has 'crossbar'",
                "jwt.keys: expected a value, because directory.kind has 'jwt'",
            ),
        ),
        (
            '[webhooks]\nsource = "couchdb"\n',
            ("couchdb.uri: expected a value, because webhooks.source is 'couchdb'",),
        ),
        (
            '[directory]\nkind = "couchdb"\n[webhooks]\nsource = "couchdb"\n',
            ("couchdb.uri: expected a value, because directory.kind has 'couchdb'",),
        ),
        (
            '[webhooks]\nsource = "kazoo"\n',
            ("webhooks.source: expected 'storage' or 'couchdb', got 'kazoo'",),
        ),
        (
            "[directory]\nkind = 5\n",
            ("directory.kind: expected a string or a list of strings, got 5",),
        ),
        (
            "[directory]\nkind = []\n",
            (
                "directory.kind: expected one of 'local', 'couchdb', 'crossbar', 'jwt', or a list of them, "
                "got []",
            ),
        ),
        (
            '[directory]\nkind = ["local", "local"]\n',
            (
                "directory.kind: expected one of 'local', 'couchdb', 'crossbar', 'jwt', or a list of them, "
                "got ['local', 'local']",
            ),
        ),
    ],
)
def test_what_the_directory_and_the_source_of_hooks_lack(
    tmp_path: Path, text: str, error: tuple[str, ...]
) -> None:
    assert errors_of(tmp_path, text) == error


def test_the_password_of_couchdb_is_not_shown() -> None:
    variable = "KAZOO_BRIDGE__COUCHDB__URI"
    assert "hunter2" not in repr(load(None, {variable: "http://u:hunter2@couch:15984"}))
    with pytest.raises(ConfigError) as raised:
        load(None, {variable: "http://u:hunter2/@couch:15984"})
    (error,) = raised.value.errors
    assert error.startswith("couchdb.uri: expected http://user:password@host:15984")
    assert "hunter2" not in error


def test_a_proxy_is_not_in_the_repr() -> None:
    assert "hunter2" not in repr(load(None, {"KAZOO_BRIDGE__EGRESS__PROXY": "http://u:hunter2@proxy:1"}))


INTEGER_KEYS = [
    (section, name)
    for section, kind in get_type_hints(Config).items()
    for name, hint in get_type_hints(kind).items()
    if hint is int
]


@pytest.mark.parametrize(("section", "name"), INTEGER_KEYS)
def test_every_whole_number_is_exact_or_refused(tmp_path: Path, section: str, name: str) -> None:
    default = getattr(getattr(Config(), section), name)
    variable = f"KAZOO_BRIDGE__{section}__{name}".upper()
    path = tmp_path / "bridge.toml"
    path.write_text(f"[{section}]\n{name} = {default}\n")
    for config in (load(str(path), {}), load(None, {variable: str(default)})):
        value = getattr(getattr(config, section), name)
        assert (type(value), value) == (int, default)
    for text in (f"{default}.0", "true", "nan", "inf", "1e400", "9" * 19, str(2**63), "9" * 4000):
        (mistake,) = errors_of(tmp_path, f"[{section}]\n{name} = {text}\n")
        assert mistake.startswith(f"{section}.{name}: expected a whole number")
        with pytest.raises(ConfigError, match=rf"{section}\.{name}: expected a whole number"):
            load(None, {variable: text})


def test_certificates_of_egress(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "one")
    environ = {
        "KAZOO_BRIDGE__EGRESS__CA_BUNDLE": certificate,
        "KAZOO_BRIDGE__EGRESS__CLIENT_CERTIFICATE": certificate,
        "KAZOO_BRIDGE__EGRESS__CLIENT_KEY": key,
    }
    assert load(None, environ).egress.client_key == key
    both = tmp_path / "both.pem"
    both.write_bytes(Path(certificate).read_bytes() + Path(key).read_bytes())
    assert load(
        None, {"KAZOO_BRIDGE__EGRESS__CLIENT_CERTIFICATE": str(both)}
    ).egress.client_certificate == str(both)


def test_unusable_certificates_are_reported_with_their_key(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "one")
    _, other_key = make_certificate(tmp_path, "two")

    def error_of(**keys: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load(None, {f"KAZOO_BRIDGE__EGRESS__{name.upper()}": value for name, value in keys.items()})
        (mistake,) = caught.value.errors
        return mistake

    assert error_of(ca_bundle=key).startswith("egress.ca_bundle: expected a PEM file with a certificate")
    assert error_of(ca_bundle="/no/such/file").startswith(
        "egress.ca_bundle: expected a PEM file, but '/no/such/file' cannot be read"
    )
    assert error_of(client_certificate=certificate).startswith(
        "egress.client_certificate: expected a PEM file with a private key"
    )
    assert error_of(client_certificate=certificate, client_key=certificate).startswith(
        "egress.client_key: expected a PEM file with a private"
    )
    assert error_of(client_certificate=certificate, client_key=other_key).startswith(
        "egress.client_key: expected the key of the first"
    )
    assert error_of(client_key=key).startswith("egress.client_key: a key without a certificate")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[amqp]\nprefetch = 0\n", "amqp.prefetch: expected a whole number from 1 to 65535, got 0"),
        ("[amqp]\nprefetch = 65536\n", "amqp.prefetch: expected a whole number from 1 to 65535, got 65536"),
        (
            "[webhooks]\nattempt_failure_count = 0\n",
            "webhooks.attempt_failure_count: expected a whole number of at least 1, got 0",
        ),
        (
            "[opentelemetry]\nsample_ratio = 1.5\n",
            "opentelemetry.sample_ratio: expected a number from 0 to 1, got 1.5",
        ),
        (
            "[opentelemetry]\nsample_ratio = nan\n",
            "opentelemetry.sample_ratio: expected a number from 0 to 1, got nan",
        ),
        (
            "[opentelemetry]\nsample_ratio = true\n",
            "opentelemetry.sample_ratio: expected a number, got True",
        ),
        ('[amqp]\nqueue_type = "lazy"\n', "amqp.queue_type: expected 'quorum' or 'classic', got 'lazy'"),
        (
            '[amqp]\nqueue = "amq.own"\n',
            "amqp.queue: expected a queue name of 1 to 255 printable characters, got 'amq.own'",
        ),
        (
            '[webhooks]\ncluster_id = "two words"\n',
            "webhooks.cluster_id: expected at most 128 printable characters without spaces, got 'two words'",
        ),
    ],
)
def test_an_error_names_the_key_the_value_and_what_was_expected(
    tmp_path: Path, text: str, error: str
) -> None:
    assert errors_of(tmp_path, text) == (error,)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (Amqp(), {"prefetch": 0}),
        (Amqp(), {"queue_type": "lazy"}),
        (Amqp(), {"queue": ""}),
        (Http(), {"endpoint": "nonsense"}),
        (Webhooks(), {"max_requests": 10_001}),
        (Egress(), {"allowed_networks": ("10.0.0.1/8",)}),
    ],
)
def test_no_section_can_be_made_with_a_value_that_is_not_valid(section: Any, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        evolve(section, **values)


def test_each_zone_has_its_brokers(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    zones = ("amqp://u:p@two", "amqp://three,amqps://three-b")
    path.write_text(f"[amqp]\nuri = 'amqp://one'\nzones = {list(zones)}\n")
    assert load(str(path), {}).amqp.zones == zones


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        (
            'zones = ["amqp://h"]',
            "amqp.zones: the embedded bus has no other zones; set amqp.uri to the home zone's broker",
        ),
        (
            'uri = "amqp://a,amqp://b"\nzones = ["amqp://x", "amqp://u:hunter2@b:5672/"]',
            "amqp.zones: the broker amqp://b:5672/ of zone 2 is that of amqp.uri, too",
        ),
        (
            'uri = "amqp://a"\nzones = ["amqp://b", "amqp://c,amqp://b"]',
            "amqp.zones: the broker amqp://b:5672/ of zone 2 is that of zone 1, too",
        ),
        (
            'zones = ["amqp://a", "http://u:hunter2@b"]',
            "amqp.zones: expected the URIs of the other zones' brokers, each "
            "amqp://user:pass@host:5672/vhost (amqps: for TLS), but in zone 2 an AMQP URI starts with "
            "amqp:// or amqps://",
        ),
        ('zones = "amqp://u:hunter2@b"', "amqp.zones: expected a list of strings"),
        ('zones = ["amqp://u:hunter2@b", 5]', "amqp.zones: expected a list of strings"),
        (
            'zones = ["amqps://b?cacertfile=/no/such/file"]',
            "amqp.zones: expected a PEM file, but '/no/such/file' cannot be read: No such file or directory",
        ),
    ],
)
def test_wrong_zones(tmp_path: Path, keys: str, error: str) -> None:
    assert errors_of(tmp_path, f"[amqp]\n{keys}\n") == (error,)


def test_several_processes_need_a_broker(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text("[node]\nprocesses = 2\n")
    with pytest.raises(ConfigError) as error:
        load(str(path), {})
    assert list(error.value.errors) == [
        "node.processes: expected 1, because the bus of amqp.uri 'embedded:' is inside one process"
    ]
    uri = {"KAZOO_BRIDGE__AMQP__URI": "amqp://broker"}
    assert load(str(path), uri).node.processes == 2
