"""A TCP proxy that cuts connections after a given number of bytes, or on request."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable


class CuttingProxy:
    """Forwards bytes to the port `target` on this host.

    `cut(number)` returns, for each connection, after how many bytes of the client and of the server it is
    cut: 0 before the first byte, None never. `cuts` counts these cuts.
    """

    def __init__(self, target: int, cut: Callable[[int], tuple[int | None, int | None]]) -> None:
        self._target = target
        self.cut = cut
        self.cuts = 0
        self._count = 0
        self._server = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._server.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            number, self._count = self._count, self._count + 1
            from_client, from_server = self.cut(number)
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            self._open |= {client, server}
            for source, sink, limit in ((client, server, from_client), (server, client, from_server)):
                threading.Thread(target=self._pass, args=(source, sink, limit), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        passed = 0
        try:
            while limit is None or passed < limit:
                piece = source.recv(65536 if limit is None else min(65536, limit - passed))
                if not piece:
                    break
                sink.sendall(piece)
                passed += len(piece)
        except OSError:
            pass
        if limit is not None and passed >= limit:
            self.cuts += 1
        for one in (source, sink):
            self._reset(one)

    def _reset(self, one: socket.socket) -> None:
        self._open.discard(one)
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        one.close()

    def cut_all(self) -> None:
        """Cut all open connections."""
        for one in list(self._open):
            self._reset(one)

    def stop(self) -> None:
        """Accept no more connections, and cut all."""
        self._server.shutdown(socket.SHUT_RDWR)  # closing alone does not wake the thread that waits in accept
        self._server.close()
        self.cut_all()
