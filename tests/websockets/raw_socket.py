"""A bare TCP connection of a client that keeps to no protocol."""

from __future__ import annotations

import socket
import ssl
import struct

from twisted.internet import reactor
from twisted.internet.task import deferLater

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

#: Opcodes of frames; a continuation ends no message unless it has FIN.
CONTINUATION, TEXT, CLOSE, PING, PONG = 0, 1, 8, 9, 10


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """Encode a client's frame, masked with zeros."""
    head = (0x80 if fin else 0) | opcode
    if len(payload) < 126:
        return struct.pack("!BB", head, 0x80 | len(payload)) + bytes(4) + payload
    return struct.pack("!BBH", head, 0x80 | 126, len(payload)) + bytes(4) + payload


class RawSocket:
    """Connects to a port from `source`, and reads only when `receive` is called."""

    def __init__(self, port: int, source: str = "127.0.0.1", receive_buffer: int = 0) -> None:
        self._socket = socket.socket()
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.bind((source, 0))
        self._socket.setblocking(False)
        self._socket.connect_ex(("127.0.0.1", port))
        self.received = b""
        self.closed = False

    def send(self, data: bytes | memoryview) -> int:
        """Send as much as fits into the system's buffers; returns how much."""
        try:
            return self._socket.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError:
            self.closed = True
            return 0

    def receive(self, size: int = 1 << 20) -> bytes:
        """Read what is there; `closed` is True at the end."""
        try:
            data = self._socket.recv(size)
        except (BlockingIOError, ssl.SSLWantReadError):
            return b""
        except OSError:
            data = b""
        self.closed = self.closed or not data
        self.received += data
        return data

    async def send_all(self, data: bytes) -> None:
        """Send everything, or as much as the server takes before it closes."""
        while data and not self.closed:
            data = data[self.send(data) :]
            await deferLater(reactor, 0)

    async def receive_until(self, text: bytes) -> None:
        """Read until `text` has arrived, or the connection is closed; fails after 10 seconds."""
        deadline = reactor.seconds() + 10
        while text not in self.received and not self.closed:
            self.receive()
            assert reactor.seconds() < deadline, self.received[-200:]
            await deferLater(reactor, 0)

    async def start_tls(self) -> RawSocket:
        """Do the handshake of TLS; the certificate is not checked."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        secured = context.wrap_socket(self._socket, do_handshake_on_connect=False)
        self._socket = secured
        while True:
            try:
                secured.do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                await deferLater(reactor, 0)
            else:
                return self

    async def upgrade(self) -> RawSocket:
        """Do the handshake."""
        await self.send_all(HANDSHAKE)
        await self.receive_until(b"\r\n\r\n")
        assert self.received.startswith(b"HTTP/1.1 101 "), self.received
        return self

    def close(self) -> None:
        self._socket.close()
