"""Broker to websockets: bursts and steady events to many sockets, ours and the peers in turn.

Run it with ``python -m benchmarks.fanout``. For each number of sockets and each contender it starts the
server, connects and subscribes the sockets (with one client, written in C, so that it takes little of the
processor), publishes a burst of events to a private broker, and then events at a steady rate; each socket
must receive all of them in order. The contenders are ours, ours@/path/to/tree, node (amqplib and ws), and
nchan, which does not speak AMQP: it receives its events by HTTP from this process, without the broker.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pika

from benchmarks.harness import report
from benchmarks.harness.broker import BenchmarkBroker
from benchmarks.harness.contenders import tree_of
from benchmarks.harness.events import account_id
from benchmarks.harness.folders import BENCHMARKS, compiled, debian_packages, node_modules
from benchmarks.harness.node import BenchmarkNode
from benchmarks.harness.processes import cpu_seconds, exit_on_sigterm, family, resident_bytes
from benchmarks.websocket_fanout import event as padded_event
from tests.integration.rabbitmq import free_port

_ACCOUNT = account_id(1)
_BINDING = "call.CHANNEL_CREATE.*"
_TOKEN = "benchmark"  # of the Node peer
_START_TIMEOUT = 60.0

#: What many sockets of one address and account need beside the default configuration.
_WEBSOCKETS = """
max_connections_per_ip = 0
max_unauthenticated_per_ip = 0
max_connections_per_account = 0
"""

_NGINX = """
load_module {modules}/ngx_nchan_module.so;
user root;
worker_processes 1;
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/log;
worker_rlimit_nofile 20000;
events {{ worker_connections 16000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /publish {{
            nchan_publisher;
            nchan_channel_id calls;
            nchan_message_buffer_length 1000;
            nchan_message_timeout 30s;
        }}
        location = /subscribe {{
            nchan_subscriber websocket;
            nchan_channel_id calls;
            nchan_subscriber_first_message newest;
        }}
    }}
}}
"""


#: nchan makes folders in Debian's place for them, whatever is configured. These are seen by nginx only.
_PRIVATE_FOLDERS = "mount -t tmpfs tmpfs /var/lib && mkdir /var/lib/nginx && exec "


def make_event(number: int) -> dict[str, Any]:
    """Return a call event of the account, with its number and the time of its creation."""
    made = padded_event(number)
    made["Custom-Channel-Vars"] = {"Account-ID": _ACCOUNT}
    return made


class Publisher(Protocol):
    """Publishes events where a server expects them."""

    def publish(self, number: int) -> None:
        """Publish one event."""

    def pause(self, seconds: float) -> None:
        """Wait."""

    def close(self) -> None:
        """Close the connection."""


class BrokerPublisher:
    """Publishes to the broker like KAZOO."""

    def __init__(self, uri: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(uri))
        self._channel = self._connection.channel()

    def publish(self, number: int) -> None:
        """Publish one event."""
        key = f"call.CHANNEL_CREATE.call-{number}"
        self._channel.basic_publish("callevt", key, json.dumps(make_event(number)).encode())

    def pause(self, seconds: float) -> None:
        """Wait, and let the connection work."""
        self._connection.process_data_events(max(seconds, 0))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class HttpPublisher:
    """Publishes to nchan what the others send as a frame. Requests do not wait for the answers before."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))

    def publish(self, number: int) -> None:
        """Publish one event."""
        made = make_event(number)
        data = {name.lower().replace("-", "_"): value for name, value in made.items()}
        frame = {"action": "event", "subscribed_key": _BINDING, "name": "CHANNEL_CREATE", "data": data}
        body = json.dumps(frame, separators=(",", ":")).encode()
        head = "POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
        self._socket.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self._read()

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(max(seconds, 0))
        self._read()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _read(self) -> None:
        with suppress(BlockingIOError):
            answers = self._socket.recv(1 << 16, socket.MSG_DONTWAIT)
            if b"HTTP/1.1 4" in answers or b"HTTP/1.1 5" in answers:
                raise RuntimeError(f"nchan answered {answers[:500]!r}")


class Server(Protocol):
    """Sends events to its subscribers."""

    port: int
    path: str

    def start(self) -> None:
        """Start it, and return when it accepts sockets and its queue is bound."""

    def subscription(self) -> str:
        """Return the message that subscribes a socket; empty if none is needed."""

    def publisher(self) -> Publisher:
        """Return a publisher of its events."""

    def pids(self) -> list[int]:
        """Return its processes."""

    def stop(self) -> None:
        """Stop it."""


def _subscription(token: str) -> str:
    data = {"account_id": _ACCOUNT, "binding": _BINDING}
    return json.dumps({"action": "subscribe", "auth_token": token, "data": data})


class OurServer:
    """Our node of a tree."""

    path = "/"

    def __init__(self, folder: Path, tree: Path, amqp_uri: str) -> None:
        self._uri = amqp_uri
        self._node = BenchmarkNode(
            folder, tree, amqp_uri, storage=folder / "b.sqlite3", more_config={"websockets": _WEBSOCKETS}
        )
        self.port = self._node.websocket_port
        self._node.create_accounts([account_id(0), _ACCOUNT])

    def start(self) -> None:
        """Start the node."""
        self._node.start()

    def subscription(self) -> str:
        """Return a message with the token of the super-admin."""
        return _subscription(self._node.token)

    def publisher(self) -> Publisher:
        """Return one to the broker."""
        return BrokerPublisher(self._uri)

    def pids(self) -> list[int]:
        """Return the node's processes."""
        return family([self._node.pid])

    def stop(self) -> None:
        """Stop the node."""
        self._node.stop()


class ServerProcess:
    """A peer, started with a command."""

    path = "/"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, command: Sequence[str], cwd: Path) -> None:
        """Run a command, and wait until its port answers."""
        with (self.folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"{command[0]} did not start:\n{(self.folder / 'out').read_text()[-3000:]}"
                )
            time.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except OSError:
            return False
        finally:
            connection.close()
        return True

    def pids(self) -> list[int]:
        """Return its process."""
        assert self._process is not None
        return family([self._process.pid])

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


class NodePeer(ServerProcess):
    """``peers/fanout.mjs``."""

    def __init__(self, folder: Path, amqp_uri: str) -> None:
        super().__init__(folder)
        self._uri = amqp_uri

    def start(self) -> None:
        """Start it."""
        specification = self.folder / "specification.json"
        specification.write_text(json.dumps({"amqp_uri": self._uri, "port": self.port, "token": _TOKEN}))
        self.run(["node", str(BENCHMARKS / "peers" / "fanout.mjs"), str(specification)], node_modules())
        time.sleep(1)  # until the queue is bound

    def subscription(self) -> str:
        """Return a message with the peer's token."""
        return _subscription(_TOKEN)

    def publisher(self) -> Publisher:
        """Return one to the broker."""
        return BrokerPublisher(self._uri)


class NchanPeer(ServerProcess):
    """nginx with nchan, of Debian."""

    path = "/subscribe"

    def start(self) -> None:
        """Start it."""
        root = debian_packages("nginx", "libnginx-mod-nchan")
        config = self.folder / "nginx.conf"
        modules = root / "usr" / "lib" / "nginx" / "modules"
        config.write_text(_NGINX.format(modules=modules, folder=self.folder, port=self.port))
        nginx = f"{root}/usr/sbin/nginx -e {self.folder}/log -p {self.folder} -c {config}"
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", _PRIVATE_FOLDERS + nginx]
        self.run(command, self.folder)

    def subscription(self) -> str:
        """Connecting is subscribing."""
        return ""

    def publisher(self) -> Publisher:
        """Return one over HTTP."""
        return HttpPublisher(self.port)


class Fanout(NamedTuple):
    """One round. Milliseconds to connect and subscribe one socket, seconds for all, bytes for each.

    The burst: frames a second, microseconds of the server's processor time for each. The steady events:
    delays in milliseconds until they are read, the server's processor time as a share of a core.
    """

    each: float
    all: float
    memory: float
    rate: float
    cost: float
    p50: float
    p99: float
    longest: float
    cpu: float


class Clients:
    """The client process."""

    def __init__(self, server: Server, sockets: int) -> None:
        self._sockets = sockets
        program = compiled(BENCHMARKS / "harness" / "fanout_client.c")
        self._process = subprocess.Popen(
            [program, str(server.port), server.path, str(sockets), server.subscription()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.each, self.all = self._answer()

    def read(self, events: int) -> None:
        """Begin to read so many events."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{events}\n")
        self._process.stdin.flush()
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def result(self, events: int) -> list[float]:
        """Return seconds and delays, when all sockets have received all `events`."""
        frames, *rest = self._answer()
        if frames != events * self._sockets:
            raise RuntimeError(f"only {frames:.0f} of {events * self._sockets} frames have arrived")
        return rest

    def _answer(self) -> list[float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the clients have failed")
        return [float(part) for part in line.split()]

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def measure(server: Server, sockets: int, options: argparse.Namespace) -> Fanout:
    """Run one round."""
    server.start()
    clients = publisher = None
    try:
        before = resident_bytes(server.pids())
        clients = Clients(server, sockets)
        memory = (resident_bytes(server.pids()) - before) / sockets
        publisher = server.publisher()
        burst = max(20, min(200, options.frames // sockets))
        seconds, _, cpu = _publish(server, clients, publisher, burst, 0)
        frames = (burst - 1) * sockets
        count = int(options.rate * options.seconds)
        _, delays, steady = _publish(server, clients, publisher, count, options.rate)
        return Fanout(
            each=clients.each,
            all=clients.all,
            memory=memory,
            rate=frames / seconds,
            cost=cpu / (burst * sockets) * 1e6,
            p50=delays[0],
            p99=delays[2],
            longest=delays[3],
            cpu=steady / options.seconds,
        )
    finally:
        if publisher is not None:
            publisher.close()
        if clients is not None:
            clients.close()
        server.stop()


def _publish(
    server: Server, clients: Clients, publisher: Publisher, count: int, rate: float
) -> tuple[float, list[float], float]:
    """Publish `count` events at the rate, or at once if that is 0.

    Returns the seconds from the first frame to the last, the delays, and the server's processor time.
    """
    clients.read(count)
    cpu, began = cpu_seconds(server.pids()), time.monotonic()
    for number in range(count):
        if rate:
            publisher.pause(began + number / rate - time.monotonic())
        publisher.publish(number)
    publisher.pause(0)
    seconds, *delays = clients.result(count)
    return seconds, delays, cpu_seconds(server.pids()) - cpu


def make_server(name: str, folder: Path, amqp_uri: str) -> Server:
    """Return the server of a contender."""
    if name == "node":
        return NodePeer(folder, amqp_uri)
    if name == "nchan":
        return NchanPeer(folder)
    return OurServer(folder, tree_of(name), amqp_uri)


def results_table(found: dict[str, list[Fanout]], baseline: str) -> str:
    """Return the results as Markdown."""
    base = found.get(baseline) or next(iter(found.values()))
    base_name = baseline if baseline in found else next(iter(found))
    head = (
        *("contender", "frames/s in a burst", f"x {base_name}", "CPU us/frame", f"x {base_name}"),
        *("p50 ms", "p99 ms", "longest ms", "CPU, share of a core"),
        *("connect and subscribe one, ms", "all, s", "kB a socket"),
    )
    rows = []
    for name, rounds in found.items():
        rates, costs = [one.rate for one in rounds], [one.cost for one in rounds]
        rows.append(
            (
                name,
                report.spread(rates),
                report.ratio(rates, [one.rate for one in base]),
                report.spread(costs, ".2f"),
                report.ratio(costs, [one.cost for one in base]),
                report.spread([one.p50 for one in rounds], ".1f"),
                report.spread([one.p99 for one in rounds], ".1f"),
                report.spread([one.longest for one in rounds], ".1f"),
                report.spread([one.cpu for one in rounds], ".2f"),
                report.spread([one.each for one in rounds], ".1f"),
                report.spread([one.all for one in rounds], ".1f"),
                report.spread([one.memory / 1000 for one in rounds], ".1f"),
            )
        )
    return report.table(head, rows)


def run(
    broker: BenchmarkBroker, sockets: int, options: argparse.Namespace, folder: Path
) -> dict[str, list[Fanout]]:
    """Run all rounds with a number of sockets; the contenders begin in turn."""
    names = options.contenders
    servers = {
        name: make_server(name, folder / str(number), broker.fresh_vhost())
        for number, name in enumerate(names)
    }
    found: dict[str, list[Fanout]] = defaultdict(list)
    for number in range(options.rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            one = measure(servers[name], sockets, options)
            found[name].append(one)
            texts = ", ".join(f"{field} {value:.2f}" for field, value in one._asdict().items())
            print(f"{sockets} sockets, round {number + 1}: {name}: {texts}", file=sys.stderr, flush=True)
    return {name: found[name] for name in names}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    exit_on_sigterm()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--contenders", default="ours,node,nchan", help="separated by commas")
    parser.add_argument("--sockets", default="500,1000,2000,5000", help="numbers, separated by commas")
    parser.add_argument("--frames", type=int, default=200_000, help="about so many in a burst")
    parser.add_argument("--rate", type=float, default=20, help="events a second afterwards")
    parser.add_argument("--seconds", type=float, default=10, help="of these events")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--baseline", default="node", help="the contender that the ratios refer to")
    parser.add_argument("--write", action="store_true", help="write the results to benchmarks/results/")
    options = parser.parse_args(arguments)
    options.contenders = options.contenders.split(",")
    ours = {name: tree_of(name) for name in options.contenders if name not in ("node", "nchan")}
    parts = [report.heading("Websockets: broker to many sockets", ours)]
    print(parts[0], flush=True)
    for number in map(int, options.sockets.split(",")):
        with BenchmarkBroker() as broker, tempfile.TemporaryDirectory(prefix="kazoo-bridge-bench-") as folder:
            found = run(broker, number, options, Path(folder))
        title = f"## {number} sockets, {options.rounds} rounds, then {options.rate:g} events a second"
        parts.append(f"{title}\n\n{results_table(found, options.baseline)}")
        print(f"\n{parts[-1]}\n", flush=True)
    if options.write:
        report.write("fanout", "\n\n".join(parts))


if __name__ == "__main__":
    main()
