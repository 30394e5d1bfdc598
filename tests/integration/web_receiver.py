"""A web server in a thread that receives webhooks, for tests of whole processes."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qsl

from tests.integration.node_process import eventually


class Arrival(NamedTuple):
    """A received request."""

    method: str
    path: str
    headers: dict[str, str]
    body: str

    @property
    def form(self) -> dict[str, str]:
        """The form fields of the body."""
        return dict(parse_qsl(self.body, keep_blank_values=True))


class WebReceiver:
    """Collects requests in `arrivals` and answers with `status`. While `release` is cleared, answers wait."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.status = 200
        self.release = threading.Event()
        self.release.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                receiver.arrivals.append(Arrival(self.command, self.path, dict(self.headers.items()), body))
                receiver.release.wait(60)
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = do_PUT = _handle

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait_for(self, count: int) -> list[Arrival]:
        """Wait for `count` requests and return all so far."""
        eventually(lambda: len(self.arrivals) >= count, f"{count} requests; so far {len(self.arrivals)}")
        return self.arrivals

    def stop(self) -> None:
        """Close the server."""
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
