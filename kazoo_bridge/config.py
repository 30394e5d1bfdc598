"""Typed configuration: TOML and environment in, one immutable `Config` or every mistake at once out.

The only reader of files and environment. Each key of the TOML is also the environment variable
``KAZOO_BRIDGE__SECTION__KEY``, which wins; lists are written there separated by commas.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit

import cattrs
from attrs import Attribute, field, fields, frozen
from twisted.internet.endpoints import serverFromString

ENVIRONMENT_PREFIX = "KAZOO_BRIDGE__"

#: Every network of the IANA special-purpose registries (and multicast) that is not on the public internet.
NON_PUBLIC_NETWORKS: tuple[str, ...] = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "::/96",
    "::ffff:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
)

Check = Callable[[Any], None]


class ConfigError(Exception):
    """The configuration cannot be used; `mistakes` has one line per mistake, each naming its key."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


def _at_least(minimum: int) -> Check:
    def check(value: int) -> None:
        if value < minimum:
            raise ValueError(f"expected a whole number of at least {minimum}, got {value}")

    return check


def _between(minimum: int, maximum: int) -> Check:
    def check(value: int) -> None:
        if not minimum <= value <= maximum:
            raise ValueError(f"expected a whole number from {minimum} to {maximum}, got {value}")

    return check


def _one_of(*words: str) -> Check:
    def check(value: str) -> None:
        if value not in words:
            raise ValueError(f"expected {' or '.join(repr(word) for word in words)}, got {value!r}")

    return check


def _matching(pattern: str, expected: str) -> Check:
    def check(value: str) -> None:
        if re.fullmatch(pattern, value) is None:
            raise ValueError(f"expected {expected}, got {value!r}")

    return check


def _amqp_uri(value: str) -> None:
    # The URI holds a password, so no message here repeats it.
    if value.strip() == "embedded:":
        return
    for number, one in enumerate(value.split(","), 1):
        parts = urlsplit(one.strip())
        try:
            bad = parts.scheme not in ("amqp", "amqps") or not parts.hostname or parts.port == 0
        except ValueError:
            bad = True
        if bad:
            raise ValueError(f"expected 'embedded:' or amqp://user:pass@host:5672/vhost (amqps: for TLS); URI number {number} is neither")


def _storage_uri(value: str) -> None:
    if not value.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise ValueError("expected sqlite:///FILE or postgresql+psycopg://user:pass@host/database")
    if value in ("sqlite:///", "sqlite:///:memory:"):
        raise ValueError("expected sqlite:///FILE: a database in memory would be lost with the process")


def _endpoint(value: str) -> None:
    try:
        serverFromString(None, value)
    except Exception as error:
        raise ValueError(
            f"expected a Twisted endpoint such as 'tcp:8000:interface=127.0.0.1', got {value!r} ({error or type(error).__name__})"
        ) from None


def _networks(value: Sequence[str]) -> None:
    for one in value:
        try:
            ipaddress.ip_network(one)
        except ValueError as error:
            raise ValueError(f"expected networks such as '10.0.0.0/8' or 'fc00::/7', got {one!r} ({error})") from None


def _folder(value: str) -> None:
    if value and not Path(value).is_dir():
        raise ValueError(f"expected an existing folder (or nothing), got {value!r}")


def _key(default: Any, check: Check | None = None, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"check": check})


@frozen
class Amqp:
    """Where the messages come from."""

    uri: str = _key("embedded:", _amqp_uri, secret=True)
    queue: str = _key("kazoo_bridge.webhooks", _matching(r"(?!amq\.)[\x21-\x7e]{1,255}", "a queue name of 1 to 255 printable characters"))
    prefetch: int = _key(500, _between(1, 65535))


@frozen
class Storage:
    """Where hooks, accounts and tokens are kept."""

    uri: str = _key("sqlite:///kazoo-bridge.sqlite3", _storage_uri, secret=True)


@frozen
class Http:
    """Where REST is served."""

    endpoint: str = _key("tcp:8000:interface=127.0.0.1", _endpoint)


@frozen
class Websockets:
    """Where websockets are served."""

    endpoint: str = _key("tcp:5555:interface=127.0.0.1", _endpoint)
    max_connections_per_ip: int = _key(0, _at_least(0))


@frozen
class Webhooks:
    """How webhooks are sent. Times are in milliseconds."""

    request_timeout_ms: int = _key(10_000, _between(1, 600_000))
    connect_timeout_ms: int = _key(10_000, _between(1, 600_000))
    attempt_failure_count: int = _key(6, _at_least(1))
    attempt_failure_expiry_ms: int = _key(60_000, _at_least(1))
    disable_disabler: bool = _key(False)
    log_successful_attempts: bool = _key(False)
    max_requests: int = _key(256, _between(1, 10_000))
    max_requests_per_hook: int = _key(32, _between(1, 10_000))
    cluster_id: str = _key("", _matching(r"[\x21-\x7e]{0,128}", "at most 128 printable characters without spaces"))


@frozen
class Egress:
    """Where webhooks may go."""

    denied_networks: tuple[str, ...] = _key(NON_PUBLIC_NETWORKS, _networks)
    allowed_networks: tuple[str, ...] = _key((), _networks)


@frozen
class Directory:
    """Who answers for accounts and tokens."""

    kind: str = _key("local", _one_of("local"))


@frozen
class Plugins:
    """Where ops' own categories lie."""

    path: str = _key("", _folder)


@frozen
class Config:
    """The whole configuration, checked."""

    amqp: Amqp = Amqp()
    storage: Storage = Storage()
    http: Http = Http()
    websockets: Websockets = Websockets()
    webhooks: Webhooks = Webhooks()
    egress: Egress = Egress()
    directory: Directory = Directory()
    plugins: Plugins = Plugins()


def _strictly(kind: type, words: str) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:
        # type() and not isinstance(): true is no number.
        if type(value) is not kind:
            raise ValueError(f"expected {words}, got {value!r}")
        return value

    return structure


def _strings(value: Any, _: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"expected a list of strings, got {value!r}")
    return tuple(value)


_converter = cattrs.Converter()
_converter.register_structure_hook(str, _strictly(str, "a string"))
_converter.register_structure_hook(int, _strictly(int, "a whole number"))
_converter.register_structure_hook(bool, _strictly(bool, "true or false"))
_converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _strings)


def load(path: str | None, environ: Mapping[str, str]) -> Config:
    """Read the file (None: all defaults) and the environment.

    Raises `ConfigError` with every mistake found.
    """
    mistakes: list[str] = []
    given = _read_file(path) if path is not None else {}
    _add_environment(given, environ, mistakes)
    hints = get_type_hints(Config)
    mistakes += [
        f"{name}: unknown section; known are {', '.join(sorted(hints))}"
        if isinstance(value, dict)
        else f"{name}: a key outside of a section"
        for name, value in given.items()
        if name not in hints
    ]
    sections = {name: _section(name, kind, given.get(name, {}), mistakes) for name, kind in hints.items()}
    if mistakes:
        raise ConfigError(mistakes)
    return Config(**sections)


def _read_file(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_bytes().decode("utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: not TOML: {error}"]) from None


def _add_environment(given: dict[str, Any], environ: Mapping[str, str], mistakes: list[str]) -> None:
    hints = get_type_hints(Config)
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        section, _, name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        kind = get_type_hints(hints[section]).get(name) if section in hints else None
        if kind is None:
            mistakes.append(f"{variable}: no such key; expected {ENVIRONMENT_PREFIX}SECTION__KEY")
        elif isinstance(table := given.setdefault(section, {}), dict):
            table[name] = _from_text(environ[variable], kind)


def _from_text(text: str, kind: Any) -> Any:
    """What the TOML would have said; text that does not fit stays text, for the type check to refuse."""
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind is int and re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    if kind is int or kind is str:
        return text
    return [item.strip() for item in text.split(",") if item.strip()]


def _section(section: str, kind: type, table: Any, mistakes: list[str]) -> Any:
    if not isinstance(table, dict):
        mistakes.append(f"{section}: expected a section, [{section}]")
        return None
    known: dict[str, Attribute[Any]] = {one.name: one for one in fields(kind)}
    mistakes += [f"{section}.{name}: unknown key; known are {', '.join(known)}" for name in table if name not in known]
    hints = get_type_hints(kind)
    values = {}
    for name in known.keys() & table.keys():
        try:
            values[name] = _converter.structure(table[name], hints[name])
            if check := known[name].metadata["check"]:
                check(values[name])
        except ValueError as error:
            secret = not known[name].repr and not isinstance(table[name], str)
            mistakes.append(f"{section}.{name}: {'expected a string' if secret else error}")
    return kind(**values)
