"""The verb of a request, which a POST can carry inside for clients that cannot send any other."""

from __future__ import annotations

from twisted.web.iweb import IRequest

from kazoo_bridge.rest.bodies import parsed, read
from kazoo_bridge.rest.errors import ApiError, invalid_method
from kazoo_bridge.rest.query import Query

#: What can be asked for, directly or inside a POST.
VERBS = ("GET", "PUT", "POST", "PATCH", "DELETE")


def tunnelled_verb(request: IRequest, query: Query) -> str | None:
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
    if verb not in VERBS:
        raise invalid_method(VERBS)
    return verb


def _in_body(request: IRequest) -> object:
    try:
        # Few bodies carry one; only those are parsed twice.
        return parsed(request.content).get("verb") if b'"verb"' in read(request.content) else None
    except ApiError:
        return None  # told to the client when the body is read for what it is
