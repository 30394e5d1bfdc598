"""The verb of a request, which a POST can carry inside for clients that cannot send any other."""

from __future__ import annotations

from twisted.web.iweb import IRequest

from kazoo_bridge.rest.http.errors import ApiError, invalid_method
from kazoo_bridge.rest.http.query import Query
from kazoo_bridge.rest.http.request_body import parse, read_body

#: What can be asked for, directly or inside a POST.
METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")


def overridden_method(request: IRequest, query: Query) -> str | None:
    """The verb that a POST carries in its query, else in its body; None when it carries none, or is no POST.

    Raises `invalid_method` when what it carries is no verb.
    """
    if request.method != b"POST":
        return None
    given = query.first("verb")
    carried = given if given is not None else _in_body(request)
    if carried is None:
        return None
    verb = carried.upper() if isinstance(carried, str) else ""
    if verb not in METHODS:
        raise invalid_method(METHODS)
    return verb


def _in_body(request: IRequest) -> object:
    try:
        # Few bodies carry one; only those are parsed twice.
        return parse(request.content).get("verb") if b'"verb"' in read_body(request.content) else None
    except ApiError:
        return None  # told to the client when the body is read for what it is
