"""Deliveries as text, which is kept with attempts so that they can be replayed."""

from __future__ import annotations

import json

from attrs import asdict, fields

from kazoo_bridge.interfaces import Delivery
from kazoo_bridge.webhooks.http.http_request import HookRequest


def encode_delivery(delivery: Delivery, request: HookRequest, limit: int) -> str:
    """Return a delivery as JSON text, which is kept with an attempt; empty if it has more than `limit` bytes.

    The size of its `request` saves the work of encoding what would be too large.
    """
    if max(len(request.body), len(request.url)) > limit:
        return ""
    try:
        text = json.dumps(asdict(delivery, recurse=False), default=dict, separators=(",", ":"))
    except (TypeError, ValueError):
        return ""
    return text if len(text) <= limit else ""


def decode_delivery(text: str) -> Delivery:
    """Return the delivery that `encode_delivery` has encoded, in this release or another."""
    known = {attribute.name for attribute in fields(Delivery)}
    return Delivery(**{name: value for name, value in json.loads(text).items() if name in known})
