"""The envelope of messages, and their normalized form for the outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
