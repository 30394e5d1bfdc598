"""Numbered events, a receiver with configurable faults, and the check that all events have arrived."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec

import pika
import pytest
from pika.exceptions import AMQPError

from tests.integration.kazoo_events import call_event
from tests.integration.node_process import NodeProcess, eventually
from tests.integration.rabbitmq import RabbitNode

P = ParamSpec("P")

ACCOUNT = "a" * 32


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


@contextlib.contextmanager
def receiving(
    behaviour: Callable[[int], str] = lambda number: "ok", port: int = 0
) -> Iterator[FaultyReceiver]:
    """Run a `FaultyReceiver`."""
    receiver = FaultyReceiver(behaviour, port)
    try:
        yield receiver
    finally:
        receiver.stop()


class Publisher:
    """Publishes events of numbered calls of an account like KAZOO, with confirms."""

    def __init__(self, uri: str, prefix: str = "call", account: str = ACCOUNT) -> None:
        self._uri = uri
        self._prefix = prefix
        self._account = account
        self._count = 0
        self.confirmed: set[str] = set()
        self._connect()

    def _connect(self) -> None:
        parameters = pika.URLParameters(self._uri)
        parameters.heartbeat = 0  # none are answered while a test waits for something else
        self._connection = pika.BlockingConnection(parameters)
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()

    def publish(self, count: int, *, pause: float = 0.0, calls: int = 0) -> None:
        """Publish `count` events, `pause` seconds apart; with `calls`, they belong to so many calls."""
        for _ in range(count):
            number, self._count = self._count, self._count + 1
            call_id = f"{self._prefix}-{number % calls if calls else number}"
            body = call_event(self._account, call_id, To=str(number)) | {
                "Msg-ID": f"{self._prefix}-m{number}"
            }
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


class DefaultNode(NodeProcess):
    """A node with the default configuration.

    Its file sets only what a private node on a machine with others needs, and no time, limit or count:

    - ``amqp.uri``: the address, credentials and virtual host of the test's broker, without options, since a
      heartbeat would be such a time;
    - ``storage.uri``: the test's database, by default a SQLite file in `folder`;
    - ``http.endpoint`` and ``websockets.endpoint``: free ports of loopback, where the defaults are too;
    - ``egress.allowed_networks``: loopback with the receivers of the tests, which is denied by default.
    """

    def __init__(self, folder: Path, uri: str, storage_uri: str = "") -> None:
        if "?" in uri:
            raise ValueError("the URI has options, such as a heartbeat")
        super().__init__(folder, uri, storage_uri=storage_uri)
        self._tokens: dict[str, str] = {}

    def add_account(self, account: str = ACCOUNT) -> None:
        """Create an account, and a token for its requests."""
        self.command("account", "create", "--id", account)
        self._tokens[account] = self.command("token", "create", "--account", account)

    def webhooks(self, verb: str, path: str = "", data: Any = None, account: str = ACCOUNT) -> Any:
        """Send a request below the account's ``/webhooks`` and return the data of the answer."""
        answer = self.rest(verb, f"/v2/accounts/{account}/webhooks{path}", self._tokens[account], data)
        assert answer.ok, answer.text
        return answer.json()["data"]

    def add_hook(self, url: str, account: str = ACCOUNT, **hook: object) -> None:
        """Make a hook to `url`; `hook` has what its document does not leave to the defaults."""
        document = {"name": "n", "uri": url, "hook": "channel_create", "format": "json", **hook}
        self.webhooks("PUT", data=document, account=account)

    def hook(self, account: str = ACCOUNT) -> Any:
        """Return the account's only hook, with its health."""
        (listed,) = self.webhooks("GET", account=account)
        return self.webhooks("GET", f"/{listed['id']}", account=account)


def start_node(folder: Path, uri: str, url: str, storage_uri: str = "") -> DefaultNode:
    """Start a node with one account and one hook to `url`."""
    node = DefaultNode(folder, uri, storage_uri)
    node.add_account()
    node.start()
    node.add_hook(url)
    return node


@contextlib.contextmanager
def private_rabbit() -> Iterator[RabbitNode]:
    """Run a broker for one scenario, which may freeze it for long."""
    rabbit = RabbitNode()
    rabbit.start()
    try:
        yield rabbit
    finally:
        rabbit.stop()


class Scenarios:
    """Scenarios whose waits pass at the same time.

    With the default configuration, the receiver of a suspended hook is probed after half a minute. So each
    scenario is a generator: it causes its fault and yields where it can only wait. Then the next one begins.
    Its test ends it.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Iterator[None]] = {}
        self._errors: dict[str, BaseException] = {}

    def begin(self, scenario: Callable[P, Iterator[None]], *args: P.args, **kwargs: P.kwargs) -> None:
        """Run a scenario until it yields. `end` raises its errors, too."""
        name = scenario.__name__
        self._waiting[name] = scenario(*args, **kwargs)
        try:
            next(self._waiting[name])
        except (Exception, pytest.skip.Exception) as error:
            self._errors[name] = error

    def end(self, scenario: Callable[..., Iterator[None]]) -> None:
        """Run the rest of a scenario, and raise what it raises."""
        if error := self._errors.get(scenario.__name__):
            raise error
        assert next(self._waiting[scenario.__name__], "the end") == "the end"
