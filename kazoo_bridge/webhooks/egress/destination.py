"""Where a URI leads: one strict reading, used when a hook is made and again whenever it is sent to, so that no two readings can differ."""

from __future__ import annotations

import base64
import ipaddress
import re
from urllib.parse import unquote_to_bytes

from attrs import field, frozen

DEFAULT_PORTS = {"http": 80, "https": 443}

_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)(?:#.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(?:([^@]*)@)?(\[[^\[\]]*\]|[^\[\]:@]*)(?::([0-9]{0,5}))?")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")

_MAX_NAME = 253


class BadDestination(ValueError):
    """The URI cannot be requested; in words for the one who wrote it, without the URI."""


@frozen
class Destination:
    """Whom to connect to, and what to ask there for.

    `host` is a lower-case name without the dot at its end, or an address without brackets; `credentials` is the URI's ``user:password`` as
    bytes, None without one; `target` is path and query, unchanged.
    """

    scheme: str
    host: str
    port: int
    credentials: bytes | None = field(repr=False)
    target: str = field(repr=False)

    @property
    def authority(self) -> str:
        """Host and port as a Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def location(self) -> str:
        """The URI without credentials."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def authorization(self) -> bytes | None:
        """The Authorization header that the credentials make."""
        return None if self.credentials is None else b"Basic " + base64.b64encode(self.credentials)


def parse_destination(uri: str) -> Destination:
    """Raises `BadDestination` for all that is not an absolute http(s) URI of plain ASCII that names a host in the usual way."""
    if any(character <= " " or character >= "\x7f" for character in uri):
        raise BadDestination(
            "expected a URI without spaces, control characters and non-ASCII characters (percent-encode them)"
        )
    if "\\" in uri:
        raise BadDestination("expected a URI without backslashes")
    parts = _PARTS.fullmatch(uri)
    scheme = parts[1].lower() if parts else ""
    if parts is None or scheme not in DEFAULT_PORTS or not parts[2]:
        raise BadDestination("expected an absolute URI that starts with http:// or https:// and names a host")
    authority = _AUTHORITY.fullmatch(parts[2])
    if authority is None:
        raise BadDestination("expected an absolute http or https URI; host or port cannot be read")
    userinfo, host, port = authority.groups()
    number = int(port) if port else DEFAULT_PORTS[scheme]
    if not 1 <= number <= 65535:
        raise BadDestination("expected a port from 1 to 65535")
    target = parts[3] if parts[3].startswith("/") else "/" + parts[3]
    return Destination(scheme, _host(host), number, _credentials(userinfo), target)


def masked(uri: str) -> str:
    """The URI with ``***`` in the place of what stands before an ``@`` in its authority: fit to be shown. Takes any text."""
    return re.sub(r"(?i)^([a-z][a-z0-9+.-]*://)[^/?#]*@", r"\1***@", uri)


def _host(host: str) -> str:
    if host.startswith("["):
        try:
            address = ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise BadDestination("expected an IPv6 address in the brackets") from None
        if address.scope_id is not None:
            raise BadDestination("expected an IPv6 address without a zone")
        return str(address)
    name = host.removesuffix(".").lower()
    labels = name.split(".")
    if not name or len(name) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadDestination("expected a host name of letters, digits, hyphens and dots, or an IP address")
    if _NUMBER.fullmatch(labels[-1]):
        # Resolvers read 127.1, 0177.0.0.1 and 0x7f000001 as addresses, each in its own way.
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise BadDestination("expected an IPv4 address as four decimal numbers") from None
    return name


def _credentials(userinfo: str | None) -> bytes | None:
    if not userinfo:
        return None
    user, _, password = userinfo.partition(":")
    credentials = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    if b":" in unquote_to_bytes(user) or any(byte < 0x20 or byte == 0x7F for byte in credentials):
        raise BadDestination(
            "expected user:password@ without control characters, and no colon in the user's name"
        )
    return credentials
