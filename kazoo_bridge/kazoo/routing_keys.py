"""KAZOO's exchanges, and how ids are encoded in routing keys."""

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
    "callmgr": "topic",
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

#: Most ids consist of such characters only.
_PLAIN = re.compile(r"[A-Za-z0-9_~-]*")

_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")


def encode_key_part(text: str) -> str:
    """Return an id as KAZOO writes it between the dots of a routing key (``kz_amqp_util:encode``).

    ``encode_key_part("a.b c")`` is ``a%2Eb+c``. The wildcards ``*`` and ``#`` stay as they are.
    """
    if text in ("*", "#"):
        return text
    if _PLAIN.fullmatch(text):
        return text
    return "".join(
        chr(byte) if byte in _KEEP_IN_KEY else "+" if byte == 0x20 else f"%{byte:02X}"
        for byte in text.encode("utf-8", "surrogatepass")
    )


def decode_key_part(part: str) -> str:
    """Return the id that `encode_key_part` has encoded; bytes that are not UTF-8 become U+FFFD."""
    if part in ("*", "#"):
        return part
    if _PLAIN.fullmatch(part):
        return part
    raw = part.replace("+", " ").encode("utf-8", "surrogatepass")
    plain = _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), raw)
    return plain.decode("utf-8", "replace")
