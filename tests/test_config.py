from __future__ import annotations

import datetime
from pathlib import Path
from typing import get_type_hints

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from kazoo_bridge.config import Config, ConfigError, load
from kazoo_bridge.webhooks.egress import Proxy


def mistakes_of(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    path = tmp_path / "bridge.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(str(path), environ or {})
    return caught.value.errors


def test_without_a_file_the_defaults_of_the_contract() -> None:
    config = load(None, {"HOME": "/root"})
    assert config == Config()
    assert config.amqp.uri == "embedded:"
    assert config.amqp.queue == "kazoo_bridge.webhooks"
    assert config.amqp.prefetch == 500
    assert config.storage.uri == "sqlite:///kazoo-bridge.sqlite3"
    assert config.http.endpoint == "tcp:8000:interface=127.0.0.1"
    assert config.websockets.endpoint == "tcp:5555:interface=127.0.0.1"
    assert config.websockets.max_connections_per_ip == 0
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


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("EGRESS__ALLOWED_NETWORKS", "[127.0.0.0/8]", "expected a list of strings"),
        ("EGRESS__ALLOWED_NETWORKS", "[1]", "expected a list of strings"),
        ("WEBHOOKS__RETRY_SCHEDULE_S", "5, soon", "expected a list of whole numbers"),
        ("WEBHOOKS__DISABLE_DISABLER", "yes", "expected true or false"),
        ("AMQP__PREFETCH", "", "expected a whole number"),
    ],
)
def test_values_in_the_environment_that_do_not_fit(key: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"{key.lower().replace('__', '.')}: {words}"):
        load(None, {f"KAZOO_BRIDGE__{key}": text})


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp:65536",
        "tcp:port=70000:interface=127.0.0.1",
        "ssl:99999999",
        "haproxy:tcp:99999:interface=\\:\\:1",
        "tcp:x",
    ],
)
def test_an_endpoint_nobody_can_listen_on(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"http\.endpoint: expected a Twisted endpoint"):
        load(None, {"KAZOO_BRIDGE__HTTP__ENDPOINT": endpoint})


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
    # In the order of the sections and their keys.
    keys = [line.split(":")[0] for line in told if "." in line.split(":")[0]]
    assert (
        keys.index("amqp.uri")
        < keys.index("amqp.prefetch")
        < keys.index("storage.uri")
        < keys.index("plugins.path")
    )
    assert not any("hunter2" in line or "\n" in line for line in told)


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
    good = _certificate(tmp_path, "ca")[0]
    assert load(None, {"KAZOO_BRIDGE__AMQP__URI": f"amqp://a,amqps://b?cacertfile={good}"}).amqp.uri
    with pytest.raises(
        ConfigError, match=r"^amqp\.uri: expected a PEM file, but '/no/such/file' cannot be read"
    ):
        load(None, {"KAZOO_BRIDGE__AMQP__URI": "amqp://a,amqps://b?cacertfile=/no/such/file"})


def test_secrets_are_not_in_the_repr(tmp_path: Path) -> None:
    config = load(
        None,
        {
            "KAZOO_BRIDGE__AMQP__URI": "amqp://u:hunter2@h",
            "KAZOO_BRIDGE__STORAGE__URI": "postgresql+psycopg://u:hunter2@h/d",
        },
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


@pytest.mark.parametrize(
    "uri",
    ["sqlite:///", "sqlite:///:memory:", "sqlite:x", "postgresql+psycopg://u:hunter2@h:port/d"],
)
def test_storage_that_cannot_be_used_or_would_be_lost(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"storage\.uri: expected") as caught:
        load(None, {"KAZOO_BRIDGE__STORAGE__URI": uri})
    assert "hunter2" not in str(caught.value)


def test_postgresql_without_its_driver_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"KAZOO_BRIDGE__STORAGE__URI": "postgresql+psycopg://u@h/d"}
    assert load(None, environ)
    monkeypatch.setattr("kazoo_bridge.config.validators.find_spec", lambda _name: None)
    with pytest.raises(
        ConfigError, match=r"storage\.uri: PostgreSQL needs .*pip install 'kazoo-bridge\[postgresql\]'"
    ):
        load(None, environ)


def _certificate(folder: Path, name: str) -> tuple[str, str]:
    """Files with a self-signed certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(files[0]), str(files[1])


def test_certificates_of_egress(tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path, "one")
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


def test_certificates_that_cannot_be_used_are_told_with_their_key(tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path, "one")
    _, other_key = _certificate(tmp_path, "two")

    def told(**keys: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load(None, {f"KAZOO_BRIDGE__EGRESS__{name.upper()}": value for name, value in keys.items()})
        (mistake,) = caught.value.errors
        return mistake

    assert told(ca_bundle=key).startswith("egress.ca_bundle: expected a PEM file with a certificate")
    assert told(ca_bundle="/no/such/file").startswith(
        "egress.ca_bundle: expected a PEM file, but '/no/such/file' cannot be read"
    )
    assert told(client_certificate=certificate).startswith(
        "egress.client_certificate: expected a PEM file with a private key"
    )
    assert told(client_certificate=certificate, client_key=certificate).startswith(
        "egress.client_key: expected a PEM file with a private"
    )
    assert told(client_certificate=certificate, client_key=other_key).startswith(
        "egress.client_key: expected the key of the first"
    )
    assert told(client_key=key).startswith("egress.client_key: a key without a certificate")


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
    ["proxy", "proxy:3128", "https://hunter2@proxy:3128", "socks5://proxy:1080", "http://proxy", "http://hunter2@proxy:0",
     "http://u:hunter2@proxy:99999", "http://u:hunter2@@proxy:3128", "http://u:hunter2@proxy:3128/path", "http://-x:1", "http://127.1:1",
     "http://[::::]:1", "http://u%0d:hunter2@proxy:1", "http://ü:hunter2@proxy:1"],
)  # fmt: skip
def test_bad_proxies_are_refused_without_being_repeated(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"egress\.proxy: expected") as caught:
        load(None, {"KAZOO_BRIDGE__EGRESS__PROXY": uri})
    assert "hunter2" not in str(caught.value)


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
        (mistake,) = mistakes_of(tmp_path, f"[{section}]\n{name} = {text}\n")
        assert mistake.startswith(f"{section}.{name}: expected a whole number")
        with pytest.raises(ConfigError, match=rf"{section}\.{name}: expected a whole number"):
            load(None, {variable: text})


@pytest.mark.parametrize("text", ["[5.0]", "[true]", "[9999999999999999999]", "[nan]"])
def test_every_delay_is_a_whole_number(tmp_path: Path, text: str) -> None:
    (mistake,) = mistakes_of(tmp_path, f"[webhooks]\nretry_schedule_s = {text}\n")
    assert mistake.startswith("webhooks.retry_schedule_s: expected a list of whole numbers")
