"""Where in a request's head a token may stand."""

from __future__ import annotations

from twisted.web.iweb import IRequest

from kazoo_bridge.rest.http.query import Query


def header_text(request: IRequest, name: bytes) -> str | None:
    """A header as text. What is not UTF-8 becomes text that no good value equals."""
    value: bytes | None = request.getHeader(name)
    return None if value is None else value.decode("utf-8", "replace")


def auth_token(request: IRequest, query: Query) -> str | None:
    """The token of ``X-Auth-Token``, ``Authorization: Bearer`` or ``?auth_token=``, the first that is there."""
    header = header_text(request, b"x-auth-token")
    if header:
        return header.strip()
    scheme, _, bearer = (header_text(request, b"authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and bearer:
        return bearer.strip()
    return query.first("auth_token") or None
