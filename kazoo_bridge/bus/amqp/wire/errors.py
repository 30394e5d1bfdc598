"""Errors of the protocol, and why a channel or a connection ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error as network
from twisted.python.failure import Failure
from txamqp.client import ChannelClosed, Closed, ConnectionClosed

__all__ = [
    "ACCESS_REFUSED",
    "NOT_FOUND",
    "PRECONDITION_FAILED",
    "BrokerClosedChannel",
    "BrokerClosedConnection",
    "Closed",
    "ConnectionGone",
    "FieldError",
    "FrameError",
    "close_error",
    "closed_as_result",
    "lacks_queue_type",
    "reason_text",
]

#: Reply codes that the bus reacts to.
ACCESS_REFUSED = 403
NOT_FOUND = 404
PRECONDITION_FAILED = 406
NOT_IMPLEMENTED = 540
INTERNAL_ERROR = 541


class FrameError(Exception):
    """The received bytes are not AMQP 0-9-1, or exceed the agreed limits."""


class FieldError(ValueError):
    """A field table or one of its values cannot be read or written."""


class BrokerClosedChannel(ChannelClosed):  # type: ignore[misc] # txAMQP has no types
    """The broker closed one channel; the connection continues. `code` and `text` are the broker's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class BrokerClosedConnection(ConnectionClosed):  # type: ignore[misc] # txAMQP has no types
    """The broker closed the connection. `code` and `text` are the broker's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class ConnectionGone(Closed):  # type: ignore[misc] # txAMQP has no types
    """The connection ended without a close method from the broker, or was closed from this side."""


def lacks_queue_type(error: BrokerClosedConnection) -> bool:
    """Return whether the broker closed the connection because it lacks the type of a declared queue."""
    # RabbitMQ answers with an internal error while the feature flag of quorum queues is disabled.
    return error.code == NOT_IMPLEMENTED or (error.code == INTERNAL_ERROR and "feature flag" in error.text)


def close_error(reason: object) -> Closed:
    """Return the exception for a reason of txAMQP: a close method, a failure, or an exception."""
    if isinstance(reason, Closed):
        inner = reason.args[0] if reason.args else None
        return (
            close_error(inner)
            if type(reason) in (Closed, ChannelClosed, ConnectionClosed) and inner is not None
            else reason
        )
    if isinstance(reason, Failure):
        return close_error(reason.value)
    if isinstance(reason, Exception):
        return ConnectionGone(reason_text(reason))
    method = getattr(reason, "method", None)
    if method is not None and method.name == "close":
        closed: Any = reason
        text = closed.reply_text
        kind = BrokerClosedChannel if method.klass.name == "channel" else BrokerClosedConnection
        return kind(closed.reply_code, text if isinstance(text, str) else repr(text))
    return ConnectionGone(str(reason))


def closed_as_result(failure: Failure) -> Closed:
    """Errback that turns txAMQP's `Closed` into a result; other failures pass."""
    failure.trap(Closed)
    return failure.value


def reason_text(error: BaseException) -> str:
    """Return why a connection failed or ended, in one line without secrets."""
    for kinds, text in _REASONS:
        if isinstance(error, kinds):
            return text
    if isinstance(error, SSL.Error):
        details = error.args[0] if error.args and isinstance(error.args[0], list) else []
        return "TLS: " + (str(details[-1][-1]) if details else "the handshake failed")
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot read {error.filename}: {error.strerror}"
    return (str(error) or type(error).__name__).strip().splitlines()[0].rstrip(".")


_REASONS: Sequence[tuple[type[BaseException] | tuple[type[BaseException], ...], str]] = (
    (network.ConnectionRefusedError, "connection refused"),
    (network.TimeoutError, "no answer in time"),
    (network.DNSLookupError, "no such host name"),
    (network.ConnectionDone, "the broker closed the connection without a word"),
    (network.ConnectionLost, "the connection broke"),
    (VerificationError, "TLS: the certificate is for another host"),
)
