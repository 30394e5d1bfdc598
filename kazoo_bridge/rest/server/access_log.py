"""The access log: one line for each answered request, without its query, its tokens and its content."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.http import Request

from kazoo_bridge.rest.resources.operational import ALIVE_PATH, METRICS_PATH, READY_PATH

#: The namespace of the access log.
ACCESS_NAMESPACE = "kazoo_bridge.rest.access"

_log = Logger(ACCESS_NAMESPACE)

#: Requests of monitoring, which come every few seconds, are logged at the level debug.
_PROBES: Collection[bytes] = tuple(path.encode() for path in (ALIVE_PATH, READY_PATH, METRICS_PATH))

#: KAZOO's tokens in a path, as of ``GET /v2/user_auth/TOKEN``, which crossbar has.
_TOKENS = re.compile(rb"(?<![\w-])eyJ[\w-]*(?:\.|%2[Ee])[\w-]*(?:\.|%2[Ee])[\w-]*")

#: The secret in the URL of a pivot point, whichever characters of it are percent-encoded.
_PIVOT_SECRET = re.compile(rb"(/pivot/[^/]*/)[^/]+")

#: Characters of a client's own texts.
_MAX_TEXT = 200

_FIELDS = (
    "status={status} bytes={bytes} duration_ms={duration_ms} client={client} account_id={account_id}"
    ' request_id={request_id} referer="{referer}" agent="{agent}"'
)


def log_access(clock: IReactorTime, request: Request) -> None:
    """Log a request that has been answered."""
    context: Any = getattr(request, "context", None)
    principal = getattr(context, "principal", None)
    started = getattr(context, "started_at", None)
    write = _log.debug if request.path in _PROBES else _log.info
    write(
        "{method} {path} {protocol} " + _FIELDS,
        method=_shown(request.method),
        path=without_tokens(request.uri).decode("utf-8", "backslashreplace"),
        protocol=_shown(request.clientproto),
        status=request.code,
        bytes=request.sentLength,
        duration_ms=0 if started is None else round((clock.seconds() - started) * 1000),
        client=getattr(request.getClientAddress(), "host", None) or "-",
        account_id="-" if principal is None else principal.account_id,
        request_id=getattr(context, "request_id", "-"),
        referer=_shown(without_tokens(request.getHeader(b"referer") or b"-")),
        agent=_shown(request.getHeader(b"user-agent") or b"-"),
    )


def without_tokens(uri: bytes) -> bytes:
    """Return a URI without its query, and with ``[token]`` or ``[secret]`` for those in its path."""
    path = _TOKENS.sub(b"[token]", uri.partition(b"?")[0])
    decoded = unquote_to_bytes(path)
    # The route is chosen by the decoded path.
    return _PIVOT_SECRET.sub(rb"\1[secret]", decoded if _PIVOT_SECRET.search(decoded) else path)


def _shown(text: bytes) -> str:
    return text[:_MAX_TEXT].decode("utf-8", "backslashreplace").replace('"', "'")
