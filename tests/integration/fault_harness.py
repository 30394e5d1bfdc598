"""Numbered events, a receiver with configurable faults, and the check that all events have arrived."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pika
from pika.exceptions import AMQPError

from tests.integration.kazoo_events import call_event
from tests.integration.node_process import NodeProcess, eventually

ACCOUNT = "a" * 32

#: Shorter waits, for tests that would take minutes with the default configuration, in which they hold too.
SHORT_WAITS = """
[webhooks]
probe_after_s = 1
attempt_failure_expiry_ms = 8000
request_timeout_ms = 1500
connect_timeout_ms = 1500
retry_schedule_s = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
"""


class ReceivedRequest(NamedTuple):
    """A request that the receiver has read completely, `at` (monotonic); `answered`: with success."""

    call_id: str
    webhook_id: str
    answered: bool
    at: float


class FaultyReceiver:
    """A web server that answers each request as `behaviour`, which is called with the request's number, says.

    ``ok``, ``slow`` (after 0.2 s), ``500``, ``reset`` (the connection), ``garbage``, ``silent`` (for ten
    seconds), ``hang`` (until the client closes the connection).
    """

    def __init__(self, behaviour: Callable[[int], str] = lambda number: "ok", port: int = 0) -> None:
        self.behaviour = behaviour
        self.requests: list[ReceivedRequest] = []
        self._count = 0
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", port), backlog=256)
        self.port = self._server.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._handle_safely, args=(connection,), daemon=True).start()

    def _handle_safely(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            with contextlib.suppress(OSError):
                self._handle(connection)

    def _handle(self, connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (piece := connection.recv(65536)):
                return
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        fields = dict(line.decode("latin-1").lower().split(": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(fields.get("content-length", 0)):
            if not (piece := connection.recv(65536)):
                return
            body += piece
        with self._lock:
            number, self._count = self._count, self._count + 1
        behaviour = self.behaviour(number)
        # Recorded before the response is sent: afterwards the node may forget the event.
        self.requests.append(
            ReceivedRequest(
                json.loads(body)["call_id"],
                fields["webhook-id"],
                behaviour in ("ok", "slow"),
                time.monotonic(),
            )
        )
        if behaviour == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif behaviour == "garbage":
            connection.sendall(b"\x00\xff what is this\r\n\r\n")
        elif behaviour in ("silent", "hang"):
            connection.settimeout(10 if behaviour == "silent" else None)
            connection.recv(1)
        else:
            if behaviour == "slow":
                time.sleep(0.2)
            status = "500 No" if behaviour == "500" else "200 OK"
            connection.sendall(
                f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
            )

    @property
    def answered(self) -> set[str]:
        """The ids of the calls that have been answered with success."""
        return {one.call_id for one in list(self.requests) if one.answered}

    def verify(self, call_ids: set[str], timeout: float = 60.0) -> None:
        """Wait until every published id has arrived; check that repetitions have the same webhook-id."""
        eventually(lambda: call_ids <= self.answered, f"all of {len(call_ids)} events", timeout)
        names: dict[str, set[str]] = {}
        for one in self.requests:
            names.setdefault(one.call_id, set()).add(one.webhook_id)
        assert all(len(found) == 1 for found in names.values())
        assert len({name for found in names.values() for name in found}) == len(names)

    def stop(self) -> None:
        """Accept no more connections."""
        self._server.shutdown(socket.SHUT_RDWR)  # close alone does not wake the thread in accept
        self._server.close()


class Publisher:
    """Publishes events of numbered calls like KAZOO, with confirms."""

    def __init__(self, uri: str, prefix: str = "call") -> None:
        self._uri = uri
        self._prefix = prefix
        self._count = 0
        self.confirmed: set[str] = set()
        self._connect()

    def _connect(self) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(self._uri))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()

    def publish(self, count: int, *, pause: float = 0.0, calls: int = 0) -> None:
        """Publish `count` events, `pause` seconds apart; with `calls`, they belong to so many calls."""
        for _ in range(count):
            number, self._count = self._count, self._count + 1
            call_id = f"{self._prefix}-{number % calls if calls else number}"
            body = call_event(ACCOUNT, call_id, To=str(number)) | {"Msg-ID": f"{self._prefix}-m{number}"}
            basic = pika.BasicProperties(content_type="application/json", delivery_mode=1)
            # Confirmed and routed: from now on the broker, then the node, must not lose the event.
            self._channel.basic_publish(
                "callevt", f"call.CHANNEL_CREATE.{call_id}", json.dumps(body).encode(), basic, mandatory=True
            )
            self.confirmed.add(call_id)
            if pause:
                self._connection.sleep(pause)

    def reconnect(self) -> None:
        """Connect again, as soon as the broker accepts connections."""

        def connected() -> bool:
            try:
                self._connect()
            except AMQPError:
                return False
            return True

        eventually(connected, "a connection to the broker")

    def close(self) -> None:
        """Close the connection."""
        if self._connection.is_open:
            self._connection.close()


def start_node(
    folder: Path, uri: str, url: str, more: str = "", storage_uri: str = "", **hook: object
) -> NodeProcess:
    """Start a node with one hook to `url`."""
    node = NodeProcess(folder, uri, more, storage_uri)
    node.command("account", "create", "--id", ACCOUNT)
    token = node.command("token", "create", "--account", ACCOUNT)
    node.start()
    document = {"name": "n", "uri": url, "hook": "channel_create", "format": "json", "retries": 0, **hook}
    made = node.rest("PUT", f"/v2/accounts/{ACCOUNT}/webhooks", token, document)
    assert made.status_code == 201, made.text
    return node
