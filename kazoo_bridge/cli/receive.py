"""``kazoo-bridge receive``: a web server that prints the webhooks which it receives."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import click
from attrs import define, field

from kazoo_bridge.cli.context import read_secret
from kazoo_bridge.cli.signature_check import SignatureCheck
from kazoo_bridge.log_escaping import escape_for_log

#: Bytes of a body that are read; a larger one is refused.
MAX_BODY_BYTES = 16 * 1024 * 1024

#: Headers that are shown; the others say nothing about the event.
_SHOWN_HEADERS = ("content-type", "user-agent", "x-hook-id", "x-account-id")


def _check_key(_context: click.Context, _option: click.Parameter, value: str | None) -> SignatureCheck | None:
    if value is None:
        return None
    try:
        return SignatureCheck.parse(read_secret(value, "a secret or key to verify signatures with"))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), required=True, help="The TCP port; 0: a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--secret",
    metavar="whsec_…",
    callback=_check_key,
    help="The hook's secret: signatures are verified. With -, it is read from standard input.",
)
@click.option(
    "--public-key", metavar="whpk_…", callback=_check_key, help="The same for a hook that signs with ed25519."
)
@click.option("--fail", type=click.IntRange(0), default=0, metavar="N", help="Answer the first N with 500.")
@click.option(
    "--status", type=click.IntRange(200, 599), default=200, show_default=True, help="Answer with this status."
)
@click.option("--count", type=click.IntRange(1), help="End after so many requests.")
def receive(
    port: int,
    host: str,
    secret: SignatureCheck | None,
    public_key: SignatureCheck | None,
    fail: int,
    status: int,
    count: int | None,
) -> None:
    """Receive webhooks: print each request, and whether its signature is valid, until Ctrl-C.

    For tests of hooks on this host. Networks that are not public need egress.allowed_networks.
    """
    if secret is not None and public_key is not None:
        raise click.UsageError("expected either --secret or --public-key")
    receiver = WebhookReceiver(secret or public_key, fail, status, count)
    try:
        server = make_server(host, port, receiver)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from None
    click.echo(f"receiving on http://{host}:{server.server_address[1]}/; Ctrl-C ends", err=True)
    receiver.on_done = lambda: threading.Thread(target=server.shutdown).start()
    try:
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


@define
class WebhookReceiver:
    """Prints requests and chooses their answers. `on_done` is called after the last one."""

    check: SignatureCheck | None
    fail: int
    status: int
    count: int | None
    on_done: Callable[[], Any] = lambda: None
    _number: int = field(init=False, default=0)
    _seen: dict[str, int] = field(init=False, factory=dict)
    _lock: Any = field(init=False, factory=threading.Lock)

    def receive(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> int:
        """Print a request, and return the status of its answer. Names of headers are in lower case."""
        with self._lock:
            self._number += 1
            status = 500 if self._number <= self.fail else self.status
            click.echo(f"--- {self._number}  {escape_for_log(f'{method} {target}')}  -> {status}")
            for line in self._describe(target, headers, body):
                click.echo(escape_for_log(line))
            if self._number == self.count:
                self.on_done()
            return status

    def _describe(self, target: str, headers: Mapping[str, str], body: bytes) -> Iterator[str]:
        for name in _SHOWN_HEADERS:
            if name in headers:
                yield f"{name}: {headers[name]}"
        webhook_id = headers.get("webhook-id", "")
        if webhook_id:
            before = self._seen.get(webhook_id)
            repeated = "" if before is None else f" (the same as request {before})"
            yield f"webhook-id: {webhook_id}{repeated}"
            self._seen.setdefault(webhook_id, self._number)
        if self.check is not None:
            yield f"signature: {self.check.problem(headers, body, time.time()) or 'valid'}"
        elif "webhook-signature" in headers:
            yield "signature: not checked; give --secret or --public-key"
        yield from payload_lines(target, headers.get("content-type", ""), body)


def payload_lines(target: str, content_type: str, body: bytes) -> Iterator[str]:
    """Yield the payload, one line a value: of a JSON body, a form, or the query string of a request."""
    text = body.decode("utf-8", "replace")
    if content_type.startswith("application/json"):
        try:
            yield from json.dumps(json.loads(text), indent=2, ensure_ascii=False).splitlines()
        except (ValueError, RecursionError):
            yield f"not JSON: {text}"
        return
    form = text if content_type.startswith("application/x-www-form-urlencoded") else ""
    for name, value in parse_qsl(form or urlsplit(target).query, keep_blank_values=True):
        yield f"  {name} = {value}"
    if body and not form:
        yield text


def make_server(host: str, port: int, receiver: WebhookReceiver) -> ThreadingHTTPServer:
    """Return a server that is bound and does not serve yet; raises OSError."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def handle_any(self) -> None:
            size = self.headers.get("Content-Length", "0")
            if not size.isdigit() or int(size) > MAX_BODY_BYTES:
                self.close_connection = True
                self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                return
            body = self.rfile.read(int(size))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(receiver.receive(self.command, self.path, headers, body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_PUT = handle_any

        def log_message(self, format: str, *arguments: Any) -> None:
            """Print nothing: requests are printed with their content."""

    ThreadingHTTPServer.daemon_threads = True
    return ThreadingHTTPServer((host, port), Handler)
