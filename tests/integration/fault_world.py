"""What the fault suite needs: events with numbers, a receiver that misbehaves as told, and the question whether all have arrived."""

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

from tests.integration.bridge_process import BridgeProcess, eventually
from tests.integration.test_service import call_event

ACCOUNT = "a" * 32

#: Deliveries that fail are tried again soon, and hooks are never disabled.
IMPATIENT = """
[webhooks]
disable_disabler = true
request_timeout_ms = 1500
connect_timeout_ms = 1500
retry_schedule_s = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
"""


class Taken(NamedTuple):
    """A request that the receiver has read to its end."""

    call_id: str
    webhook_id: str
    answered: bool


class UnrulyReceiver:
    """A web server whose `mood` says what becomes of each request: ``ok``, ``500``, ``reset``, ``garbage``, ``slow``, ``silent``
    (for ten seconds) or ``hang`` (for as long as the client likes)."""

    def __init__(self, mood: Callable[[int], str] = lambda number: "ok") -> None:
        self.mood = mood
        self.taken: list[Taken] = []
        self._count = 0
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._server.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._carefully, args=(connection,), daemon=True).start()

    def _carefully(self, connection: socket.socket) -> None:
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
        mood = self.mood(number)
        # What is counted as answered is written down before the answer: once it is out, the bridge may forget the event.
        self.taken.append(Taken(json.loads(body)["call_id"], fields["webhook-id"], mood in ("ok", "slow")))
        if mood == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif mood == "garbage":
            connection.sendall(b"\x00\xff what is this\r\n\r\n")
        elif mood in ("silent", "hang"):
            connection.settimeout(10 if mood == "silent" else None)
            connection.recv(1)
        else:
            if mood == "slow":
                time.sleep(0.2)
            status = "500 No" if mood == "500" else "200 OK"
            connection.sendall(
                f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
            )

    @property
    def answered(self) -> set[str]:
        """The calls that have been answered with success."""
        return {one.call_id for one in list(self.taken) if one.answered}

    def verify(self, call_ids: set[str], patience: float = 60.0) -> None:
        """Every published id arrived, and the repeats share their webhook-id."""
        eventually(lambda: call_ids <= self.answered, f"all of {len(call_ids)} events", patience)
        names: dict[str, set[str]] = {}
        for one in self.taken:
            names.setdefault(one.call_id, set()).add(one.webhook_id)
        assert all(len(found) == 1 for found in names.values())
        assert len({name for found in names.values() for name in found}) == len(names)

    def stop(self) -> None:
        """Take no more."""
        self._server.shutdown(socket.SHUT_RDWR)  # closing alone does not wake who waits in accept
        self._server.close()


class Publisher:
    """Publishes numbered calls as KAZOO does, with confirms, over reconnections."""

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
        """So many events; `pause` seconds between two. With `calls`, they belong to so many calls only, and are numbered."""
        for _ in range(count):
            number, self._count = self._count, self._count + 1
            call_id = f"{self._prefix}-{number % calls if calls else number}"
            body = call_event(ACCOUNT, call_id, To=str(number)) | {"Msg-ID": f"{self._prefix}-m{number}"}
            basic = pika.BasicProperties(content_type="application/json", delivery_mode=1)
            # Confirmed and routed: from now on the event is the broker's, and then the bridge's, to keep.
            self._channel.basic_publish(
                "callevt", f"call.CHANNEL_CREATE.{call_id}", json.dumps(body).encode(), basic, mandatory=True
            )
            self.confirmed.add(call_id)
            if pause:
                self._connection.sleep(pause)

    def reconnect(self) -> None:
        """Connect again, once the broker is there."""

        def connected() -> bool:
            try:
                self._connect()
            except AMQPError:
                return False
            return True

        eventually(connected, "a connection to the broker")

    def close(self) -> None:
        """Hang up."""
        if self._connection.is_open:
            self._connection.close()


def started(
    folder: Path, uri: str, url: str, more: str = IMPATIENT, storage_uri: str = "", **hook: object
) -> BridgeProcess:
    """A running node with one hook to `url`."""
    node = BridgeProcess(folder, uri, more, storage_uri)
    node.command("account", "create", "--id", ACCOUNT)
    token = node.command("token", "create", "--account", ACCOUNT)
    node.start()
    document = {"name": "n", "uri": url, "hook": "channel_create", "format": "json", "retries": 0, **hook}
    made = node.rest("PUT", f"/v2/accounts/{ACCOUNT}/webhooks", token, document)
    assert made.status_code == 201, made.text
    return node
