"""Turns a redirect into the next request, without giving another host more than it may have."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urljoin

from attrs import evolve

from kazoo_bridge.webhooks.egress import BadDestination, parse_destination
from kazoo_bridge.webhooks.egress.destination import DEFAULT_PORTS, Destination
from kazoo_bridge.webhooks.http.http_request import HookRequest

#: Method -> the statuses that are followed, like by KAZOO's HTTP client (Erlang's ``httpc``). Other redirects
#: of a POST or PUT are not: browsers would make it a GET without the event.
_REDIRECT_STATUSES = {"GET": frozenset({301, 302, 303, 307, 308}), "POST": frozenset({303})}

#: The statuses with which a POST or PUT may be sent to another place with its body.
_BODY_REDIRECT_STATUSES = frozenset({307, 308})

_MAX_LOCATION_LENGTH = 2048

#: Headers that describe the body and are sent wherever the body is sent.
_BODY_HEADERS = frozenset({"content-type"})


class RedirectRefused(Exception):
    """The redirect is not followed. The text says why, for the hook's owner, without the location."""


def is_redirect(method: str, status: int, *, bodies: bool = False) -> bool:
    """Return whether a request with `method` that is answered with `status` is sent to another place.

    `bodies`: a POST or PUT may be sent there, too, with its body.
    """
    if bodies and method in ("POST", "PUT") and status in _BODY_REDIRECT_STATUSES:
        return True
    return status in _REDIRECT_STATUSES.get(method, ())


def redirect(request: HookRequest, status: int, location: str | None) -> HookRequest:
    """Return the request to send after `request` was answered with the redirect `status`.

    `location` is the ``Location`` header, absolute or relative to the request's URL; None without one.

    - A POST that is answered with 303 becomes a GET without a body; else method and body are kept.
    - The same host (equal name and port, or http on port 80 becoming https on port 443) gets all headers and
      the URL's credentials. Another host gets the body and its ``Content-Type``, but no hook or account id,
      no signature, no headers of the hook's owner and no credentials.

    Raises `RedirectRefused` if `location` is missing, too long or cannot be parsed, leads from https to
    http, or contains other credentials than the request's URL.
    """
    source = parse_destination(request.url)
    target = _parse_location(request.url, location)
    if source.scheme == "https" and target.scheme == "http":
        raise RedirectRefused("the redirect leads from https to http")
    same_host = _is_same_host(source, target)
    if target.credentials is not None and target.credentials != source.credentials:
        raise RedirectRefused("the redirect brings credentials")
    headers = dict(request.headers) if same_host else _body_headers(request.headers)
    if same_host and source.authorization is not None:
        headers.setdefault("Authorization", source.authorization.decode("ascii"))
    if status == 303:
        kept = {name: value for name, value in headers.items() if name.lower() not in _BODY_HEADERS}
        return evolve(request, method="GET", url=target.location, headers=kept, body=b"")
    return evolve(request, url=target.location, headers=headers)


def _parse_location(url: str, location: str | None) -> Destination:
    if not location or len(location) > _MAX_LOCATION_LENGTH:
        raise RedirectRefused("the redirect has no usable Location")
    try:
        return parse_destination(urljoin(url, location))
    except (BadDestination, ValueError) as error:
        raise RedirectRefused(f"the redirect has no usable Location: {error}") from None


def _is_same_host(source: Destination, target: Destination) -> bool:
    if source.host != target.host:
        return False
    if source.scheme == target.scheme:
        return source.port == target.port
    return source.port == DEFAULT_PORTS[source.scheme] and target.port == DEFAULT_PORTS[target.scheme]


def _body_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() in _BODY_HEADERS}
