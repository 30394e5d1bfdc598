"""What the system knows about a TCP connection: how much the other end has received."""

from __future__ import annotations

import socket
import struct
from typing import Any

from attrs import frozen
from twisted.protocols.policies import ProtocolWrapper

#: Linux's ``struct tcp_info``: segments in flight, bytes acknowledged, bytes not sent; its size so far.
_UNACKED = struct.Struct("=24xI")
_BYTES_ACKED = struct.Struct("=120xQ")
_NOT_SENT = struct.Struct("=144xI")
_SIZE = 148


@frozen
class TcpProgress:
    """`received`: bytes that the other end has acknowledged. `is_drained`: it has acknowledged all."""

    received: int
    is_drained: bool


def tcp_progress(transport: Any) -> TcpProgress | None:
    """Return what the other end of a transport has received; None if that is not known.

    `transport` may be wrapped, for TLS or the PROXY protocol. Only Linux reports it.
    """
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    try:
        info: bytes = transport.getHandle().getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
        (unacked,), (received,) = _UNACKED.unpack_from(info), _BYTES_ACKED.unpack_from(info)
        (not_sent,) = _NOT_SENT.unpack_from(info)
    except (AttributeError, OSError, struct.error):
        return None
    return TcpProgress(received, is_drained=not unacked and not not_sent)
