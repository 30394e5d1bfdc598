"""Describes failed requests for the hook's owner.

The text is stored with the attempt and shown over REST. It is short, and it repeats neither the URI, which
may contain secrets, nor what the receiver has sent.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    ConnectionRefusedError,
    TimeoutError,
)
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed

from kazoo_bridge.webhooks.egress.own_faults import is_own_fault

_MAX_LENGTH = 300


def describe_error(error: BaseException) -> str:
    """Return ``{class of the error}: {reason}`` for an error of a request, at most 300 characters long.

    `error` is what an agent's request or reading a response's body failed with, or an exception of this
    package, whose own text is used.
    """
    return _describe(error)[:_MAX_LENGTH]


def _describe(error: BaseException) -> str:
    if isinstance(error, ResponseFailed | RequestTransmissionFailed):
        return _describe_response(error)
    if isinstance(error, ConnectError | OSError) and is_own_fault(error):
        return f"{type(error).__name__}: the service can open no connection at the moment"
    if isinstance(error, ConnectionRefusedError):
        return "ConnectionRefusedError: the receiver refuses connections"
    if isinstance(error, TimeoutError):
        return "TimeoutError: no connection within the time for connecting"
    if isinstance(error, ConnectError | ConnectingCancelledError):
        return f"{type(error).__name__}: the receiver cannot be reached"
    return f"{type(error).__name__}: {error}"


def _describe_response(error: Any) -> str:
    reason = _innermost(error)
    if isinstance(reason, SSL.Error):
        return f"{type(error).__name__}: TLS fails: {_describe_tls(reason)}"
    if isinstance(reason, ConnectionClosed):
        return f"{type(reason).__name__}: the receiver closed the connection before its answer was complete"
    if type(reason).__module__.startswith("kazoo_bridge."):
        return f"{type(reason).__name__}: {reason}"
    # The text of the parser's error contains what the receiver has sent.
    return f"{type(reason).__name__}: the answer is not HTTP/1.1"


def _innermost(error: Any) -> BaseException:
    while (reasons := getattr(error, "reasons", None)) and isinstance(reasons[0], Failure):
        error = reasons[0].value
    return error if isinstance(error, BaseException) else Exception()


def _describe_tls(error: SSL.Error) -> str:
    queue: Any = error.args[0] if error.args else ()
    reasons = [str(entry[2]) for entry in queue if isinstance(entry, tuple) and len(entry) == 3]
    return ", ".join(reasons) or "the receiver ended the handshake"
