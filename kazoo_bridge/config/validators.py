"""What values a key may have; each check raises ValueError with what was expected."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from twisted.internet.endpoints import serverFromString

from kazoo_bridge.config.amqp_uris import parse_uris
from kazoo_bridge.config.certificates import certificates

Check = Callable[[Any], None]

_MOST_DELAYS = 30
_LONGEST_DELAY = 7 * 86_400


def at_least(minimum: int) -> Check:
    """A whole number of at least `minimum`."""

    def check(value: int) -> None:
        if value < minimum:
            raise ValueError(f"expected a whole number of at least {minimum}, got {value}")

    return check


def between(minimum: int, maximum: int) -> Check:
    """A whole number from `minimum` to `maximum`."""

    def check(value: int) -> None:
        if not minimum <= value <= maximum:
            raise ValueError(f"expected a whole number from {minimum} to {maximum}, got {value}")

    return check


def one_of(*words: str) -> Check:
    """One of these words."""

    def check(value: str) -> None:
        if value not in words:
            raise ValueError(f"expected {' or '.join(repr(word) for word in words)}, got {value!r}")

    return check


def matching(pattern: str, expected: str) -> Check:
    """Text that matches the pattern as a whole."""

    def check(value: str) -> None:
        if re.fullmatch(pattern, value) is None:
            raise ValueError(f"expected {expected}, got {value!r}")

    return check


def amqp_uri(value: str) -> None:
    """``embedded:``, or AMQP URIs separated by commas. The URI holds a password, so no message here repeats it."""
    if value.strip() == "embedded:":
        return
    try:
        brokers = parse_uris(value)
    except ValueError as error:
        raise ValueError(
            f"expected 'embedded:' or amqp://user:pass@host:5672/vhost (amqps: for TLS), but {error}"
        ) from None
    for broker in brokers:
        certificates(broker.cacertfile or "")


def storage_uri(value: str) -> None:
    """A database URI. It may hold a password, so no message here repeats it."""
    expected = "expected sqlite:///FILE or postgresql+psycopg://user:pass@host/database"
    if not value.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise ValueError(expected)
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        raise ValueError(f"{expected} (percent-encode what is special in the password)") from None
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ValueError("expected sqlite:///FILE: a database in memory would be lost with the process")
    elif find_spec("psycopg") is None:
        raise ValueError("PostgreSQL needs the package psycopg: pip install 'kazoo-bridge[postgresql]'")


_PORT = re.compile(r"(?:haproxy:)?(?:tcp6?|ssl):(?:port=)?([0-9]+)(?::.*)?", re.DOTALL)


def endpoint(value: str) -> None:
    """A Twisted endpoint to listen on."""
    try:
        serverFromString(None, value)
        port = _PORT.fullmatch(value)
        if port is not None and int(port[1]) > 65535:
            raise ValueError(f"the port {port[1]} is larger than 65535")
    except Exception as error:
        raise ValueError(
            f"expected a Twisted endpoint such as 'tcp:8000:interface=127.0.0.1', got {value!r} ({error or type(error).__name__})"
        ) from None


def networks(value: Sequence[str]) -> None:
    """IP networks."""
    for one in value:
        try:
            ipaddress.ip_network(one)
        except ValueError as error:
            raise ValueError(
                f"expected networks such as '10.0.0.0/8' or 'fc00::/7', got {one!r} ({error})"
            ) from None


def delays(value: Sequence[int]) -> None:
    """Seconds between attempts."""
    if len(value) > _MOST_DELAYS or any(not 0 < one <= _LONGEST_DELAY for one in value):
        raise ValueError(
            f"expected at most {_MOST_DELAYS} whole numbers of seconds, each from 1 to {_LONGEST_DELAY}, got {list(value)}"
        )


_NAME = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_PROXY = re.compile(
    rf"(?i)http://(?:([^:/?#@\\]*)(?::([^/?#@\\]*))?@)?({_NAME}(?:\.{_NAME})*|\[[0-9a-f:.]+\]):([0-9]{{1,5}})/?"
)


def proxy_uri(value: str) -> None:
    """An HTTP proxy, or nothing. The URI may hold a password, so the message does not repeat it."""
    if value and not _is_proxy(value):
        raise ValueError(
            "expected http://proxy:3128 or http://user:password@proxy:3128 (percent-encode what is special in these)"
        )


def _is_proxy(value: str) -> bool:
    parts = _PROXY.fullmatch(value)
    if parts is None or not re.fullmatch(r"[\x21-\x7e]+", value):
        return False
    user, password, host, port = (part or "" for part in parts.groups())
    if (
        not 1 <= int(port) <= 65535
        or re.search(r"(?i)%(?:[01]|7f)", user + password)
        or "%3a" in user.lower()
    ):
        return False
    try:
        if host.startswith("[") or host.rpartition(".")[2].isdigit():
            ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def origins(value: Sequence[str]) -> None:
    """Patterns of origins."""
    for one in value:
        if one not in ("*", "null") and re.fullmatch(r"[a-z*][a-z0-9+.*-]*://[^/\s]+", one) is None:
            raise ValueError(
                f"expected origins such as 'https://portal.example.com', 'https://*.example.com' or '*', got {one!r}"
            )


def websocket_uri(value: str) -> None:
    """Where browsers find the websockets, or nothing."""
    if (
        value
        and re.fullmatch(r"wss?://(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?(?:/[!-~]*)?", value)
        is None
    ):
        raise ValueError(f"expected ws://host:port/ or wss://host/path (or nothing), got {value!r}")


def folder(value: str) -> None:
    """An existing folder, or nothing."""
    if value and not (Path(value).is_dir() and os.access(value, os.R_OK | os.X_OK)):
        raise ValueError(f"expected an existing folder that can be read (or nothing), got {value!r}")
