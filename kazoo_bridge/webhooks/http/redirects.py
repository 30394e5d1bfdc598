"""Where a redirect leads, and what goes there."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urljoin

from kazoo_bridge.webhooks.egress import BadDestination, parse_destination
from kazoo_bridge.webhooks.egress.destination import DEFAULT_PORTS, Destination
from kazoo_bridge.webhooks.http.http_request import HookRequest

_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_MAX_LOCATION = 2048

#: Headers that describe the body, and go wherever it goes.
_BODY_HEADERS = frozenset({"content-type"})


class RedirectRefused(Exception):
    """The answer redirects to where nobody goes; in words, without the location."""


def is_redirect(status: int) -> bool:
    """Whether an answer with this status asks for another request."""
    return status in _REDIRECTS


def redirect(request: HookRequest, status: int, location: str | None) -> HookRequest:
    """The request that the answer to `request` asks for. Raises `RedirectRefused`.

    307 and 308 keep method and body. A POST becomes a GET by 301 and 302, and everything by 303. Another host is told neither who we
    are (hook, account, signatures) nor credentials; the same host under https instead of http counts as the same.
    """
    here = parse_destination(request.url)
    there = _destination(request.url, location)
    if here.scheme == "https" and there.scheme == "http":
        raise RedirectRefused("the redirect leads from https to http")
    same = _same_host(here, there)
    if there.credentials is not None and there.credentials != here.credentials:
        raise RedirectRefused("the redirect brings credentials")
    headers = dict(request.headers) if same else _is_body_header(request.headers)
    if same and here.authorization is not None:
        headers.setdefault("Authorization", here.authorization.decode("ascii"))
    if status == 303 or (status in (301, 302) and request.method == "POST"):
        kept = {name: value for name, value in headers.items() if name.lower() not in _BODY_HEADERS}
        return HookRequest("GET", there.location, kept, b"")
    return HookRequest(request.method, there.location, headers, request.body)


def _destination(url: str, location: str | None) -> Destination:
    if not location or len(location) > _MAX_LOCATION:
        raise RedirectRefused("the redirect has no usable Location")
    try:
        return parse_destination(urljoin(url, location))
    except (BadDestination, ValueError) as error:
        raise RedirectRefused(f"the redirect has no usable Location: {error}") from None


def _same_host(here: Destination, there: Destination) -> bool:
    if here.host != there.host:
        return False
    if here.scheme == there.scheme:
        return here.port == there.port
    return here.port == DEFAULT_PORTS[here.scheme] and there.port == DEFAULT_PORTS[there.scheme]


def _is_body_header(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() in _BODY_HEADERS}
