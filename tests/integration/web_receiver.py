"""A customer's web server in a thread, for tests of whole processes."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qsl

from tests.integration.node_process import eventually


class Arrival(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: str

    @property
    def form(self) -> dict[str, str]:
        """The body as a form."""
        return dict(parse_qsl(self.body, keep_blank_values=True))


class WebReceiver:
    """Keeps what arrives. `status` is what it answers; while `held` is set, requests wait."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.status = 200
        self.release = threading.Event()
        self.release.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                receiver.arrivals.append(Arrival(self.command, self.path, dict(self.headers.items()), body))
                receiver.release.wait(60)
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = do_PUT = _take

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait_for(self, count: int) -> list[Arrival]:
        """The arrivals, once there are `count` of them."""
        eventually(lambda: len(self.arrivals) >= count, f"{count} requests; so far {len(self.arrivals)}")
        return self.arrivals

    def stop(self) -> None:
        """Take no more."""
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
