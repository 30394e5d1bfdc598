"""Parses URIs of hooks, strictly.

Programs differ in how they read unusual URIs, and each difference lets a URI pass a check for one host and
lead to another. This is the only parser of hooks' URIs: for validation, for judging, and for connecting.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from attrs import field, frozen

DEFAULT_PORTS = {"http": 80, "https": 443}

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)(?:#.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(?:([^@]*)@)?(\[[^\[\]]*\]|[^\[\]:@]*)(?::([0-9]{0,5}))?")
_USERINFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@")
_DNS_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")

_MAX_HOST_LENGTH = 253


class BadDestination(ValueError):
    """The URI cannot be requested. The text says what was expected, for the hook's owner, without the URI."""


class Origin(NamedTuple):
    """Requests of one origin share connections. The fields are those of `Destination`.

    A tuple, as it is the key of connections and is hashed for each request.
    """

    scheme: str
    host: str
    port: int


@frozen
class Destination:
    """A parsed URI.

    `scheme` is ``http`` or ``https``. `host` is a lower-case name without a final dot, or a numeric address
    without brackets. `credentials` are the decoded ``user:password`` of the URI, None without them; they and
    `target` (path and query, unchanged) may be secret and stay out of the repr.
    """

    scheme: str
    host: str
    port: int
    credentials: bytes | None = field(repr=False)
    target: str = field(repr=False)

    @property
    def origin(self) -> Origin:
        """Scheme, host and port."""
        return Origin(self.scheme, self.host, self.port)

    @property
    def authority(self) -> str:
        """Host, and port unless it is the scheme's default, in the form of a ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def location(self) -> str:
        """The URI without credentials and fragment."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def authorization(self) -> bytes | None:
        """The ``Authorization`` header for the credentials (Basic, RFC 7617); None without credentials."""
        return None if self.credentials is None else b"Basic " + base64.b64encode(self.credentials)


def parse_destination(uri: str) -> Destination:
    """Parse an absolute http or https URI.

    Accepted are printable ASCII without spaces and backslashes, at most one ``@``, a port from 1 to 65535,
    and as host a name of letters, digits, hyphens and underscores (international names in their ``xn--``
    form), an IPv4 address as four decimal numbers, or an IPv6 address in brackets without a zone. A fragment
    is dropped. Raises `BadDestination` for everything else.
    """
    if any(character <= " " or character >= "\x7f" for character in uri):
        raise BadDestination(
            "expected a URI without spaces, control characters and non-ASCII characters (percent-encode them)"
        )
    if "\\" in uri:
        raise BadDestination("expected a URI without backslashes")
    parts = _URI.fullmatch(uri)
    scheme = parts[1].lower() if parts else ""
    if parts is None or scheme not in DEFAULT_PORTS or not parts[2]:
        raise BadDestination("expected an absolute URI that starts with http:// or https:// and names a host")
    authority = _AUTHORITY.fullmatch(parts[2])
    if authority is None:
        raise BadDestination("expected an absolute http or https URI; host or port cannot be read")
    userinfo, host, port = authority.groups()
    port_number = int(port) if port else DEFAULT_PORTS[scheme]
    if not 1 <= port_number <= 65535:
        raise BadDestination("expected a port from 1 to 65535")
    target = parts[3] if parts[3].startswith("/") else "/" + parts[3]
    return Destination(scheme, _parse_host(host), port_number, _parse_credentials(userinfo), target)


def mask_credentials(uri: str) -> str:
    """Return `uri` without credentials, for display and logs.

    Everything before the last ``@`` of the authority is replaced by ``***``. `uri` may be any text, a
    malformed URI too.
    """
    return _USERINFO.sub(r"\1***@", uri)


def remove_credentials(uri: str) -> str:
    """Return `uri` without what `mask_credentials` replaces; a URI without credentials is unchanged."""
    return _USERINFO.sub(r"\1", uri)


def _parse_host(host: str) -> str:
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
    if not name or len(name) > _MAX_HOST_LENGTH or not all(_DNS_LABEL.fullmatch(label) for label in labels):
        raise BadDestination("expected a host name of letters, digits, hyphens and dots, or an IP address")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        # Resolvers disagree on how to read 127.1, 0177.0.0.1 and 0x7f000001.
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise BadDestination("expected an IPv4 address as four decimal numbers") from None
    return name


def _parse_credentials(userinfo: str | None) -> bytes | None:
    if not userinfo:
        return None
    user, _, password = userinfo.partition(":")
    credentials = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    if b":" in unquote_to_bytes(user) or any(byte < 0x20 or byte == 0x7F for byte in credentials):
        raise BadDestination(
            "expected user:password@ without control characters, and no colon in the user's name"
        )
    return credentials
