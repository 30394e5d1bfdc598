"""Checks of the values of keys. Each raises ValueError, whose text says what was expected and what was found.

Limits, choices and patterns are attrs validators in `kazoo_bridge.config.schema`.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import phonenumbers
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from twisted.internet.endpoints import serverFromString

from kazoo_bridge.config.amqp_uris import parse_uris
from kazoo_bridge.config.certificates import check_certificates
from kazoo_bridge.config.couch_uri import parse_couch_uri
from kazoo_bridge.config.permissions import check_tree

Check = Callable[[Any], None]

_MAX_DELAYS = 30
_MAX_DELAY_SECONDS = 7 * 86_400


def check_amqp_uri(value: str) -> None:
    """Check ``embedded:``, or AMQP URIs separated by commas.

    The error does not repeat the URI and its password.
    """
    if value.strip() == "embedded:":
        return
    try:
        brokers = parse_uris(value)
    except ValueError as error:
        raise ValueError(
            f"expected 'embedded:' or amqp://user:pass@host:5672/vhost (amqps: for TLS), but {error}"
        ) from None
    for broker in brokers:
        check_certificates(broker.cacertfile or "")


def check_amqp_zones(value: Sequence[str]) -> None:
    """Check the AMQP URIs of other zones. The error does not repeat them and their passwords."""
    for number, zone in enumerate(value, 1):
        try:
            brokers = parse_uris(zone)
        except ValueError as error:
            raise ValueError(
                "expected the URIs of the other zones' brokers, each amqp://user:pass@host:5672/vhost "
                f"(amqps: for TLS), but in zone {number} {error}"
            ) from None
        for broker in brokers:
            check_certificates(broker.cacertfile or "")


def check_storage_uri(value: str) -> None:
    """Check a database URI. The error does not repeat it, because it may contain a password."""
    expected = "expected sqlite:///FILE or postgresql+psycopg://user:pass@host/database"
    if not value.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise ValueError(expected)
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        raise ValueError(f"{expected} (percent-encode special characters in the password)") from None
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ValueError("expected sqlite:///FILE: a database in memory would be lost with the process")
    elif find_spec("psycopg") is None:
        raise ValueError("PostgreSQL needs the package psycopg: pip install 'kazoo-bridge[postgresql]'")


def check_couch_uri(value: str) -> None:
    """Check the URI of CouchDB, or nothing. The error does not repeat it: it may contain a password."""
    if value:
        parse_couch_uri(value)


#: The port of an endpoint that listens on TCP.
_PORT = re.compile(r"(?:haproxy:)?(?:tcp6?|ssl):(?:port=)?([0-9]+)(?::.*)?", re.DOTALL)

#: An endpoint that takes over a socket of systemd. Only the service itself has the socket.
_INHERITED = re.compile(r"(?:haproxy:)?systemd:domain=(?:INET6?|UNIX):(?:index=[0-9]+|name=[^:=]+)")


def check_endpoint(value: str) -> None:
    """Check the description of a Twisted server endpoint."""
    if _INHERITED.fullmatch(value):
        return
    try:
        serverFromString(None, value)
        port = _PORT.fullmatch(value)
        if port is not None and int(port[1]) > 65535:
            raise ValueError(f"the port {port[1]} is larger than 65535")
    except Exception as error:
        raise ValueError(
            f"expected a Twisted endpoint such as 'tcp:8000:interface=127.0.0.1', got {value!r} "
            f"({error or type(error).__name__})"
        ) from None


def check_optional_endpoint(value: str) -> None:
    """Check the description of a Twisted server endpoint, or nothing."""
    if value:
        check_endpoint(value)


def check_networks(value: Sequence[str]) -> None:
    """Check IP networks in CIDR form."""
    for one in value:
        try:
            ipaddress.ip_network(one)
        except ValueError as error:
            raise ValueError(
                f"expected networks such as '10.0.0.0/8' or 'fc00::/7', got {one!r} ({error})"
            ) from None


def check_delays(value: Sequence[int]) -> None:
    """Check the delays between attempts, in seconds."""
    if len(value) > _MAX_DELAYS or any(not 0 < one <= _MAX_DELAY_SECONDS for one in value):
        raise ValueError(
            f"expected at most {_MAX_DELAYS} whole numbers of seconds, each from 1 to {_MAX_DELAY_SECONDS}, "
            f"got {list(value)}"
        )


_NAME = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_PROXY = re.compile(
    r"(?i)http://(?:([^:/?#@\\]*)(?::([^/?#@\\]*))?@)?"
    rf"({_NAME}(?:\.{_NAME})*|\[[0-9a-f:.]+\]):([0-9]{{1,5}})/?"
)


def check_proxy_uri(value: str) -> None:
    """Check the URI of an HTTP proxy, or nothing. The error does not repeat it: it may contain a password."""
    if value and not _is_proxy(value):
        raise ValueError(
            "expected http://proxy:3128 or http://user:password@proxy:3128 "
            "(percent-encode special characters in these)"
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


#: The kinds of directories.
DIRECTORY_KINDS = ("local", "couchdb", "crossbar", "jwt")


def check_directory_kinds(value: str | Sequence[str]) -> None:
    """Check a kind of directory, or several in the order in which they are asked."""
    kinds = (value,) if isinstance(value, str) else tuple(value)
    if not kinds or len(set(kinds)) < len(kinds) or not set(kinds) <= set(DIRECTORY_KINDS):
        known = ", ".join(map(repr, DIRECTORY_KINDS))
        shown = value if isinstance(value, str) else list(value)
        raise ValueError(f"expected one of {known}, or a list of them, got {shown!r}")


def check_region(value: str) -> None:
    """Check the code of a country, or nothing."""
    if value and value not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"expected the ISO 3166 code of a country, such as 'US' or 'NO', got {value!r}")


_CROSSBAR_URI = re.compile(
    r"https?://(?:[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(?::([0-9]{1,5}))?(?:/[\w.~/-]*)?"
)


def check_crossbar_uri(value: str) -> None:
    """Check the URI of KAZOO's REST, or nothing. The error does not repeat it: it may contain a password."""
    match = _CROSSBAR_URI.fullmatch(value)
    if value and (match is None or not 1 <= int(match[1] or 80) <= 65535):
        raise ValueError("expected http://host:8000/v2 or https://host:8443/v2, without user and password")


def check_api_key(value: str) -> None:
    """Check an API key of KAZOO, or nothing. The error does not repeat it."""
    if re.fullmatch(r"[\x21-\x7e]{0,256}", value) is None:
        raise ValueError("expected an API key of at most 256 printable characters without spaces")


def check_origins(value: Sequence[str]) -> None:
    """Check patterns of origins, as in the header ``Origin``."""
    for one in value:
        if one not in ("*", "null") and re.fullmatch(r"[a-z*][a-z0-9+.*-]*://[^/\s]+", one) is None:
            raise ValueError(
                "expected origins such as 'https://portal.example.com', 'https://*.example.com' or '*', "
                f"got {one!r}"
            )


def check_websocket_uri(value: str) -> None:
    """Check the URI under which browsers find the websockets, or nothing."""
    if (
        value
        and re.fullmatch(r"wss?://(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?(?:/[!-~]*)?", value)
        is None
    ):
        raise ValueError(f"expected ws://host:port/ or wss://host/path (or nothing), got {value!r}")


def check_base_uri(value: str) -> None:
    """Check the URI under which KAZOO reaches REST, or nothing."""
    if (
        value
        and re.fullmatch(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?(?:/[!-~]*)?", value)
        is None
    ):
        raise ValueError(f"expected http://host:port or https://host/path (or nothing), got {value!r}")


_OTLP_ENDPOINT = re.compile(
    r"https?://(?:[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(?::([0-9]{1,5}))?(?:/[\w.~/-]*)?"
)


def check_otlp_endpoint(value: str) -> None:
    """Check the URL to which spans are exported, or nothing.

    The error does not repeat it: it may contain a password. A URL needs the extra ``otel``.
    """
    if not value:
        return
    match = _OTLP_ENDPOINT.fullmatch(value)
    if match is None or not 1 <= int(match[1] or 80) <= 65535:
        raise ValueError("expected http://host:4318/v1/traces or https://…, without user and password")
    if not all(map(_is_installed, ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"))):
        raise ValueError("spans need the packages of OpenTelemetry: pip install 'kazoo-bridge[otel]'")


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False


def check_callflow_modules(value: Sequence[str]) -> None:
    """Check names of callflow actions."""
    for one in value:
        if re.fullmatch(r"[a-z0-9_]{1,64}", one) is None:
            raise ValueError(
                f"expected names of callflow actions, of lower-case letters, digits and _, got {one!r}"
            )


def check_folder(value: str) -> None:
    """Check an existing folder that can be read and that others cannot write, or nothing."""
    if not value:
        return
    if not (Path(value).is_dir() and os.access(value, os.R_OK | os.X_OK)):
        raise ValueError(f"expected an existing folder that can be read (or nothing), got {value!r}")
    check_tree(value)


#: The levels of the log, from all lines to the most important ones.
LOG_LEVELS = ("debug", "info", "warn", "error")


def check_log_levels(value: Sequence[str]) -> None:
    """Check levels of namespaces, each ``namespace=level``."""
    for one in value:
        namespace, separator, level = (part.strip() for part in one.partition("="))
        if (
            not separator
            or level not in LOG_LEVELS
            or re.fullmatch(r"\w+(?:\.\w+)*", namespace, re.ASCII) is None
        ):
            raise ValueError(
                "expected the level of a namespace, such as 'kazoo_bridge.bus=debug', with one of the levels "
                f"{', '.join(LOG_LEVELS)}, got {one!r}"
            )
