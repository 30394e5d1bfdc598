"""Builds the HTTP request for a hook and an event's payload: query string, form or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote_plus, urlsplit, urlunsplit

from attrs import field, frozen

from kazoo_bridge.json_writer import write_json
from kazoo_bridge.webhooks.hooks.hook import Hook


@frozen
class HookRequest:
    """An HTTP request. It can be sent any number of times.

    `url` may contain credentials, and like headers and body it stays out of the repr.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def build_payload(hook: Hook, payload: Mapping[str, Any], cluster_id: str) -> dict[str, Any]:
    """Return what the hook sends for an event's `payload`.

    The hook's ``custom_data`` overrides keys of `payload`. A non-empty `cluster_id` is added as
    ``cluster_id`` and overrides both.
    """
    result = {**payload, **hook.custom_data}
    if cluster_id:
        result["cluster_id"] = cluster_id
    return result


def build_request(hook: Hook, payload: Mapping[str, Any], cluster_id: str) -> HookRequest:
    """Encode an event's `payload` as the hook's ``http_verb`` and ``format`` demand.

    GET appends the payload to the URI's query string; POST and PUT send it as
    ``application/x-www-form-urlencoded`` or, with the format ``json``, as ``application/json``. `cluster_id`
    is as for `build_payload`. The request has the headers ``X-Hook-ID`` and ``X-Account-ID``, and no
    signature yet (see `signing.signature_headers`).
    """
    encoded = build_payload(hook, payload, cluster_id)
    headers = {"X-Hook-ID": hook.id, "X-Account-ID": hook.account_id}
    if hook.verb == "get":
        return HookRequest("GET", _with_query(hook.uri, form_encode(encoded)), headers, b"")
    if hook.format == "json":
        headers["Content-Type"] = "application/json"
        body = write_json(encoded)
    else:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = form_encode(encoded).encode("ascii")
    return HookRequest(hook.verb.upper(), hook.uri, headers, body)


def is_success(method: str, status: int) -> bool:
    """Return whether a response's `status` means success: 200, and 201 for PUT, like in KAZOO."""
    return status == 200 or (method == "PUT" and status == 201)


def form_encode(payload: Mapping[str, Any]) -> str:
    """Encode `payload` as ``application/x-www-form-urlencoded`` in KAZOO's form for nested data.

    An object's key is written ``a[b]=v``, each item of a list ``a[]=v``; the brackets are not
    percent-encoded. Booleans are ``true`` and ``false``. Nulls, empty objects and empty lists are left out.
    The result is ASCII; a lone surrogate becomes ``?``.
    """
    return "&".join(f"{name}={value}" for name, value in _form_pairs(payload))


def _form_pairs(payload: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in payload.items():
        yield from _value_pairs(_quote(key), value)


def _value_pairs(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _value_pairs(f"{name}[{_quote(key)}]", item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _value_pairs(f"{name}[]", item)
    elif value is not None:
        yield name, _quote(_to_text(value))


def _to_text(value: Any) -> str:
    if value is True:
        return "true"
    if value is False:
        return "false"
    return str(value)


def _quote(text: str) -> str:
    return quote_plus(text, encoding="utf-8", errors="replace")


def _with_query(uri: str, query: str) -> str:
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(query=f"{parts.query}&{query}" if parts.query else query, fragment=""))
