"""KAZOO's vocabulary: events, account databases, routing keys, normalising, Gregorian time.

Pure functions and immutable values. The facts are KAZOO 4.3's (repository ``2600hz/kazoo``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

#: Seconds between the Gregorian year 0, from which KAZOO counts, and the Unix epoch.
GREGORIAN_OFFSET = 62167219200

#: The aggregate database, which holds a copy of every account document.
ACCOUNTS_DB = "accounts"

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

#: The exchange on which an asker's answers arrive, routed by the name of its queue.
TARGETED = "targeted"

#: Envelope keys that the public form of a message leaves out (``Account-ID`` and ``Call-ID`` stay).
OPTIONAL_ENVELOPE = frozenset(
    {
        "Server-ID",
        "Node",
        "Access-Group",
        "Defer-Response",
        "Destination-Server",
        "Geo-Location",
        "System-Log-ID",
        "Server-Queue-ID",
        "Raw-Headers",
        "Request-From-PID",
        "Reply-To-PID",
        "AMQP-Broker",
        "AMQP-Broker-Zone",
        "Deliver-To-PID",
        "Tenant-ID",
    }
)

_ACCOUNT_ID = re.compile(r"[0-9a-f]{32}")
_ACCOUNT_DB = re.compile(
    r"account(?:/|%2[Ff])([0-9a-f]{2})(?:/|%2[Ff])([0-9a-f]{2})(?:/|%2[Ff])([0-9a-f]{28})(?:-(\d{6}))?"
)
_SEPARATORS = str.maketrans("", "", " -./()")
_NUMBER = re.compile(r"\+?([0-9]{2,32})")
_KEEP_IN_KEY = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~")
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")


@frozen(slots=True)
class Event:
    """One message from the bus, decoded once and never changed.

    ``body`` is the decoded JSON object, ``raw`` the bytes it was decoded from (unzipped).
    ``redelivered`` is true when the broker had handed the message out before.
    """

    exchange: str
    routing_key: str
    body: Mapping[str, Any]
    raw: bytes = field(repr=False)
    redelivered: bool = False

    @property
    def name(self) -> str:
        """The event's name (``Event-Name``), or ``""``."""
        return str(self.body.get("Event-Name", ""))

    @property
    def message_id(self) -> str | None:
        """The sender's ``Msg-ID``, if it gave one."""
        value = self.body.get("Msg-ID")
        return value if isinstance(value, str) and value else None


def is_account_id(text: object) -> bool:
    """True for 32 lower-case hexadecimal characters."""
    return isinstance(text, str) and _ACCOUNT_ID.fullmatch(text) is not None


def account_db(account_id: str) -> str:
    """The account's database as payloads and routing keys spell it, ``account%2FAA%2FBB%2FREST``."""
    return f"account%2F{account_id[:2]}%2F{account_id[2:4]}%2F{account_id[4:]}"


def monthly_db(account_id: str, year: int, month: int) -> str:
    """The account's database for one month, ``…-YYYYMM``."""
    return f"{account_db(account_id)}-{year:04d}{month:02d}"


def account_from_db(database: object) -> str | None:
    """The account id in a database name (plain or monthly, either spelling), or None."""
    match = _ACCOUNT_DB.fullmatch(database) if isinstance(database, str) else None
    return match[1] + match[2] + match[3] if match else None


def normalize_number(text: object) -> str | None:
    """The digits of a telephone number, whether it is written with ``+`` and separators or not; None for what is no number."""
    match = (
        _NUMBER.fullmatch(text.translate(_SEPARATORS)) if isinstance(text, str) and len(text) <= 64 else None
    )
    return match[1] if match else None


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


def normalize(value: Any) -> Any:
    """KAZOO's form for the outside: nulls dropped, keys lower-case with ``-`` as ``_``, at every depth."""
    if isinstance(value, Mapping):
        return {
            str(key).lower().replace("-", "_"): normalize(item)
            for key, item in value.items()
            if item is not None
        }
    if isinstance(value, list | tuple):
        return [normalize(item) for item in value]
    return value


def public_form(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a websocket client sees of a message: no optional envelope keys, normalised."""
    kept = {key: value for key, value in body.items() if key not in OPTIONAL_ENVELOPE}
    result: dict[str, Any] = normalize(kept)
    return result


def to_gregorian(unix_seconds: float) -> int:
    """Unix seconds as whole Gregorian seconds."""
    return int(unix_seconds) + GREGORIAN_OFFSET


def from_gregorian(gregorian_seconds: int) -> int:
    """Gregorian seconds as Unix seconds."""
    return gregorian_seconds - GREGORIAN_OFFSET
