"""Writes to a TCP connection at once, where that is possible."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.tcp import Connection


class Transport(Protocol):
    """What a send buffer writes to."""

    def write(self, data: bytes) -> object:
        """Send bytes."""


def write_now(transport: Transport, data: bytes) -> None:
    """Write `data` before returning, as far as the system takes it; `transport` writes the rest later.

    Twisted's own ``write`` waits for the next turn of the reactor, with two more system calls. TLS and other
    transports over TCP get theirs, as does a connection with earlier data that has not been sent.
    """
    if isinstance(transport, Connection) and _is_idle(transport):
        sent = transport.writeSomeData(data)
        if sent == len(data):
            return
        # A lost connection is not a number; its next write, which the reactor makes, fails as well.
        if isinstance(sent, int) and sent > 0:
            data = data[sent:]
    transport.write(data)


def _is_idle(connection: Connection) -> bool:
    """Whether a connection is open, without TLS, and has nothing to send."""
    return bool(
        connection.connected
        and not connection.dataBuffer
        and not connection._tempDataLen
        and not connection.disconnecting
        and not connection._writeDisconnecting
        and not connection._writeDisconnected
        and not connection.TLS
    )
