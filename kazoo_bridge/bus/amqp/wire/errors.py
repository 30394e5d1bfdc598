"""Why a channel or a connection ended, with the broker's code and words kept apart."""

from __future__ import annotations

from collections.abc import Sequence

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
    """What the peer sent is not AMQP 0-9-1, or breaks the limits agreed upon."""


class FieldError(ValueError):
    """A field table, or a value meant for one, cannot be read or written."""


class BrokerClosedChannel(ChannelClosed):  # type: ignore[misc]
    """The broker closed one channel; the connection lives on. `code` and `text` are the broker's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class BrokerClosedConnection(ConnectionClosed):  # type: ignore[misc]
    """The broker closed the connection. `code` and `text` are the broker's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class ConnectionGone(Closed):  # type: ignore[misc]
    """The connection ended without a word from the broker, or was closed from this side."""


def lacks_queue_type(error: BrokerClosedConnection) -> bool:
    """Whether the broker ended the connection because it does not know the type of queue that was to be declared."""
    # RabbitMQ calls it an internal error of its own when the operator has not switched quorum queues on.
    return error.code == NOT_IMPLEMENTED or (error.code == INTERNAL_ERROR and "feature flag" in error.text)


def close_error(reason: object) -> Closed:
    """The exception for what txAMQP gives as the reason: a close method, a failure, or an exception."""
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
        text = reason.reply_text  # type: ignore[attr-defined]
        kind = BrokerClosedChannel if method.klass.name == "channel" else BrokerClosedConnection
        return kind(reason.reply_code, text if isinstance(text, str) else repr(text))  # type: ignore[attr-defined]
    return ConnectionGone(str(reason))


def reason_text(error: BaseException) -> str:
    """Why a connection failed or ended, in words on one line; never anything secret."""
    for kinds, words in _WORDS:
        if isinstance(error, kinds):
            return words
    if isinstance(error, SSL.Error):
        details = error.args[0] if error.args and isinstance(error.args[0], list) else []
        return "TLS: " + (str(details[-1][-1]) if details else "the handshake failed")
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot read {error.filename}: {error.strerror}"
    return (str(error) or type(error).__name__).strip().splitlines()[0].rstrip(".")


_WORDS: Sequence[tuple[type[BaseException] | tuple[type[BaseException], ...], str]] = (
    (network.ConnectionRefusedError, "connection refused"),
    (network.TimeoutError, "no answer in time"),
    (network.DNSLookupError, "no such host name"),
    (network.ConnectionDone, "the broker closed the connection without a word"),
    (network.ConnectionLost, "the connection broke"),
    (VerificationError, "TLS: the certificate is for another host"),
)
