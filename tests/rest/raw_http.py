"""Requests as bytes, for what no HTTP client would send."""

from __future__ import annotations

import socket

from twisted.internet.threads import deferToThread

from tests.rest.harness import RestHarness


def _exchanged(address: tuple[str, int], sent: bytes) -> bytes:
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(sent)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


async def exchanged(rest: RestHarness, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of what comes back for these very bytes."""
    host, _, port = rest.base.removeprefix("http://").partition(":")
    received = await deferToThread(_exchanged, (host, int(port)), sent)
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status.split()[1]), headers, body


def request(
    rest: RestHarness, target: bytes, *, verb: bytes = b"GET", host: bytes = b"localhost", body: bytes = b""
) -> bytes:
    head = b"%s %s HTTP/1.1\r\nHost: %s\r\nX-Auth-Token: %s\r\nConnection: close\r\n" % (
        verb,
        target,
        host,
        rest.token.encode(),
    )
    return head + (b"Content-Length: %d\r\n" % len(body) if body else b"") + b"\r\n" + body
