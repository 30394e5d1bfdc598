"""The envelope of KAZOO's messages, and the form in which their bodies leave the service."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from kazoo_bridge import __version__

#: ``App-Name`` of the messages that this service publishes.
APP_NAME = "kazoo_bridge"

#: Envelope keys that `public_form` drops (``Account-ID`` and ``Call-ID`` stay).
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


def build_envelope(
    category: str,
    name: str,
    *,
    message_id: str | None = None,
    app_name: str = APP_NAME,
    app_version: str = __version__,
) -> dict[str, Any]:
    """Return the keys that KAZOO requires in every message.

    `category` and `name` become ``Event-Category`` and ``Event-Name``. `message_id` becomes ``Msg-ID``;
    None: a random one. `app_name` and `app_version` say who sends the message.

    The source is ``kz_api:default_headers`` of KAZOO.
    """
    return {
        "App-Name": app_name,
        "App-Version": app_version,
        "Event-Category": category,
        "Event-Name": name,
        "Msg-ID": message_id or secrets.token_hex(16),
    }


def build_request(body: Mapping[str, Any], *, message_id: str, server_id: str) -> dict[str, Any]:
    """Return `body` with the envelope of a request.

    `body` contains ``Event-Category`` and ``Event-Name`` already. `message_id` is the ``Msg-ID`` that
    replies repeat, `server_id` the queue on the exchange ``targeted`` that they go to.
    """
    sender = {"App-Name": APP_NAME, "App-Version": __version__}
    return {**sender, **body, "Msg-ID": message_id, "Server-ID": server_id}


def normalize(value: Any) -> Any:
    """Return a JSON value in the form in which KAZOO shows it to the outside, at every depth.

    Keys become lower-case with ``_`` for ``-``; keys whose value is null are dropped. ``normalize({"Call-ID":
    "c1", "To": None})`` is ``{"call_id": "c1"}``. The source is ``kz_json:normalize``.
    """
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
    """Return the body of a message as websocket clients see it: normalized, without `OPTIONAL_ENVELOPE`."""
    kept = {key: value for key, value in body.items() if key not in OPTIONAL_ENVELOPE}
    result: dict[str, Any] = normalize(kept)
    return result
