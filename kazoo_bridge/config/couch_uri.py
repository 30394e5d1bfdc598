"""The URI of CouchDB: ``http://user:password@host:15984``."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from attrs import field, frozen


@frozen
class CouchUri:
    """Where CouchDB is, and how to log in.

    `base`: scheme, host, port and perhaps a path, without a slash at the end; it is fit for logs. Without a
    `user` requests have no credentials.
    """

    base: str
    user: str = ""
    password: str = field(default="", repr=False)


def parse_couch_uri(text: str) -> CouchUri:
    """Parse the URI. User and password are percent-decoded.

    Raises ValueError, which names the mistake but never repeats the URI, because that may contain a password.
    """
    expected = "expected http://user:password@host:15984 or https://… "
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError(f"{expected}(percent-encode special characters in the password)")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"{expected}with a valid host and port") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(f"{expected}with a host")
    if parts.query or parts.fragment or "@" in parts.path:
        # Otherwise a part of the password would be taken for a path, and logged.
        raise ValueError(f"{expected}(in a password write '/' as %2F, '?' as %3F, '#' as %23 and '@' as %40)")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    base = f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"
    return CouchUri(base, unquote(parts.username or ""), unquote(parts.password or ""))
