"""What goes over the wire for one delivery: a hook and an occurrence become an HTTP request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson
from attrs import field, frozen

from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.form_encoding import form_encode


@frozen
class HookRequest:
    """An HTTP request ready to be sent, as often as needed."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def build_payload(hook: Hook, said: Mapping[str, Any], cluster_id: str) -> dict[str, Any]:
    """What the event says, with the hook's own data over it."""
    payload = {**said, **hook.custom_data}
    if cluster_id:
        payload["cluster_id"] = cluster_id
    return payload


def build_request(hook: Hook, said: Mapping[str, Any], cluster_id: str) -> HookRequest:
    """Encode what the event says as the hook wants it: query string, form or JSON."""
    payload = build_payload(hook, said, cluster_id)
    headers = {"X-Hook-ID": hook.id, "X-Account-ID": hook.account_id}
    if hook.verb == "get":
        return HookRequest("GET", _with_query(hook.uri, form_encode(payload)), headers, b"")
    if hook.format == "json":
        headers["Content-Type"] = "application/json"
        body = orjson.dumps(payload)
    else:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = form_encode(payload).encode("ascii")
    return HookRequest(hook.verb.upper(), hook.uri, headers, body)


def is_success(method: str, status: int) -> bool:
    """KAZOO takes 200 for a success, and for PUT 201 as well."""
    return status == 200 or (method == "PUT" and status == 201)


def _with_query(uri: str, query: str) -> str:
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(query=f"{parts.query}&{query}" if parts.query else query, fragment=""))
