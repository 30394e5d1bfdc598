"""Exchanges and the encoding of ids in routing keys."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: KAZOO's exchanges and their types; each is declared non-durable and not auto-delete.
EXCHANGES: Mapping[str, str] = {
    "callevt": "topic",
    "configuration": "topic",
    "notifications": "topic",
    "conference": "topic",
    "faxes": "topic",
    "presence": "topic",
    "im": "topic",
    "metaflow": "topic",
    "sysconf": "topic",
    "kapps": "topic",
    "registrar": "topic",
    "targeted": "direct",
}


#: The exchange on which replies arrive, routed by the name of the requester's queue.
TARGETED = "targeted"

#: Maximum length in bytes of a routing key, pattern or name: AMQP encodes it as a "short string".
MAX_SHORT_STRING_BYTES = 255


_KEEP_IN_KEY = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~")


_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")


def encode_key_part(text: str) -> str:
    """Write an id the way KAZOO puts it between the dots of a routing key.

    ``*`` and ``#`` standing alone are wildcards and stay as they are.
    """
    if text in ("*", "#"):
        return text
    return "".join(
        chr(byte) if byte in _KEEP_IN_KEY else "+" if byte == 0x20 else f"%{byte:02X}"
        for byte in text.encode("utf-8", "surrogatepass")
    )


def decode_key_part(part: str) -> str:
    """The reverse of `encode_key_part`; bytes that are not UTF-8 become U+FFFD."""
    if part in ("*", "#"):
        return part
    raw = part.replace("+", " ").encode("utf-8", "surrogatepass")
    plain = _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), raw)
    return plain.decode("utf-8", "replace")
