"""Builds the HTTP request for a hook and an event's payload: query string, form or JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen

from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.form_encoding import encode_form
from kazoo_bridge.webhooks.http.payload_encoding import DEFAULT_MAX_BYTES, json_encode

#: Printable ASCII that RFC 3986 permits in neither path nor query; strict servers refuse it.
_FORBIDDEN_RAW = re.compile(r'["<>\[\]^`{|}]')
_AUTHORITY_END = re.compile(r"[/?#]")


@frozen
class HookRequest:
    """An HTTP request. It can be sent any number of times.

    `url` may contain credentials, and like headers and body it stays out of the repr. `success_statuses` are
    the statuses of answers that mean success (empty: KAZOO's); `timeout` is in seconds (None: the sender's).
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    success_statuses: frozenset[int] = frozenset()
    timeout: float | None = None


def build_payload(hook: Hook, payload: Mapping[str, Any], cluster_id: str) -> dict[str, Any]:
    """Return what the hook sends for an event's `payload`.

    The hook's ``custom_data`` overrides keys of `payload`. A non-empty `cluster_id` is added as
    ``cluster_id`` and overrides both.
    """
    result = {**payload, **hook.custom_data}
    if cluster_id:
        result["cluster_id"] = cluster_id
    return result


def build_request(
    hook: Hook, payload: Mapping[str, Any], cluster_id: str, max_bytes: int = DEFAULT_MAX_BYTES
) -> HookRequest:
    """Encode an event's `payload` as the hook's ``http_verb`` and ``format`` demand.

    GET appends the payload to the URI's query string; POST and PUT send it as
    ``application/x-www-form-urlencoded`` or, with the format ``json``, as ``application/json``. `cluster_id`
    is as for `build_payload`. The request has the hook's own headers, ``X-Hook-ID`` and ``X-Account-ID``, and
    no signature yet (see `signing.signature_headers`). The hook's URI is sent as it is, except that
    characters which may not stand in path and query are percent-encoded.

    Raises `PayloadTooLarge` if the body, or what is appended to the query, has more than `max_bytes` bytes.
    """
    sent, request = build_payload(hook, payload, cluster_id), plain_request(hook)
    if hook.verb == "get":
        query = encode_form(sent, max_bytes, in_query=True).decode("ascii")
        return evolve(request, url=append_query(request.url, query))
    encode = json_encode if hook.format == "json" else encode_form
    return evolve(request, body=encode(sent, max_bytes))


def plain_request(hook: Hook) -> HookRequest:
    """Return the request that `build_request` adds a payload to: with every header, and an empty body."""
    headers = {**hook.headers, "X-Hook-ID": hook.id, "X-Account-ID": hook.account_id}
    uri = hook.uri
    if hook.verb == "get":
        uri = uri.partition("#")[0]
    elif hook.format == "json":
        headers["Content-Type"] = "application/json"
    else:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    options = hook.options.success_statuses, hook.options.timeout
    return HookRequest(hook.verb.upper(), _escape(uri), headers, b"", *options)


def is_success(request: HookRequest, status: int) -> bool:
    """Return whether a response's `status` means success: 200, and 201 for PUT, like in KAZOO.

    The request's own `success_statuses` override these.
    """
    if request.success_statuses:
        return status in request.success_statuses
    return status == 200 or (request.method == "PUT" and status == 201)


def append_query(uri: str, query: str) -> str:
    """Return `uri`, which has no fragment, with `query` appended to its own query."""
    return f"{uri}{query_separator(uri)}{query}" if query else uri


def query_separator(uri: str) -> str:
    """Return what stands between `uri`, which has no fragment, and a query that is appended to it."""
    return "?" if "?" not in uri else "" if uri.endswith("?") else "&"


def _escape(uri: str) -> str:
    """Percent-encode what may not stand in path and query; the rest of `uri` stays as its owner wrote it."""
    if not _FORBIDDEN_RAW.search(uri):
        return uri
    scheme, slashes, rest = uri.partition("://")
    authority = _AUTHORITY_END.split(rest, maxsplit=1)[0]
    target = _FORBIDDEN_RAW.sub(lambda found: f"%{ord(found[0]):02X}", rest[len(authority) :])
    return f"{scheme}{slashes}{authority}{target}"
