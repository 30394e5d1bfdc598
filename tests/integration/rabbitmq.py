"""A private RabbitMQ node with its own name, ports, data and epmd, on loopback only."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path

_PROGRAMS = Path("/usr/lib/rabbitmq/bin")
_START_TIMEOUT = 90.0

#: Waits until the pipe from the tests breaks, however they end, then kills the node and removes its folder.
_GUARD = (
    'trap "" INT TERM HUP; read -r _; '
    'for group in "$1"/group-*; do kill -s KILL -- "-$(cat "$group")"; done; rm -rf "$1"'
)


#: Ports below the range of outgoing connections, which would be in use again at any moment.
_PORTS = range(12_000, 32_000)


def free_port() -> int:
    """Return a TCP port that is free at the moment, and that nothing takes by chance."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _is_stopped(group: int) -> bool:
    """Return whether no thread of a process group runs."""
    for path in Path("/proc").glob("[0-9]*/task/*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            state, _parent, process_group = path.read_text().rpartition(")")[2].split()[:3]
            if int(process_group) == group and state not in "TtZX":
                return False
    return True


class RabbitNode:
    """Start it, kill it, start it again on the same data; `stop` leaves nothing behind.

    `old`: without the features that came after version 3.7, such as quorum queues.
    """

    def __init__(self, *, old: bool = False) -> None:
        if not (_PROGRAMS / "rabbitmq-server").exists():
            raise RuntimeError(
                "these tests need RabbitMQ: `make test` installs it, or `apt-get install rabbitmq-server`"
            )
        self.folder = Path(tempfile.mkdtemp(prefix="kazoo-bridge-rabbit-"))
        self.port = free_port()
        self._vhosts = count()
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            "loopback_users = none",
            "log.console = false",
        ]
        (self.folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self.folder / "advanced.config").write_text("[].")
        (self.folder / "enabled_plugins").write_text("[].")
        self._environment = {
            "PATH": f"{_PROGRAMS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": f"kb{self.port}@localhost",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            # The distribution between Erlang nodes, too, is for this machine alone.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        if old:
            self._environment["RABBITMQ_FEATURE_FLAGS"] = ""
        self._guard: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """The URI of the virtual host ``/``."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start the node and wait until it accepts connections. Leaves nothing behind if it raises."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def settle(self) -> None:
        """Make it store what exists now: a quorum queue that is not in its list is lost for ever."""
        self.evaluate("{mnesia:sync_log(), [dets:sync(Table) || Table <- dets:all()]}")

    def reset(self) -> None:
        """Make it forget everything: users, virtual hosts, queues and messages. Connections are closed."""
        for expression in ("rabbit:stop()", "rabbit_mnesia:reset()", "rabbit:start()"):
            self.evaluate(expression)

    def kill(self) -> None:
        """Kill the node, like a power cut. Its data stay."""
        if self._server is not None:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
            self._server = None
            (self.folder / "group-rabbitmq-server").unlink()

    def freeze(self) -> None:
        """Make it accept connections but answer nothing, until `thaw`. Returns when it has stopped."""
        os.killpg(self._running.pid, signal.SIGSTOP)
        while not _is_stopped(self._running.pid):
            time.sleep(0.001)

    def thaw(self) -> None:
        """Make it continue."""
        os.killpg(self._running.pid, signal.SIGCONT)

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._server is None:
            raise RuntimeError("the node does not run")
        return self._server

    def restart(self) -> None:
        """Kill it and start it again, on the same data and port."""
        self.kill()
        self.start()

    def revive(self) -> None:
        """Let it run again, if it was killed or frozen."""
        if self._server is None:
            self.start()
        else:
            self.thaw()

    def stop(self) -> None:
        """Kill the node and its helper processes, and remove its data."""
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._guard is not None:
            self._guard.communicate()
            self._guard = None

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl on the node; returns its output."""
        done = subprocess.run(
            [str(_PROGRAMS / "rabbitmqctl"), "--quiet", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def evaluate(self, expression: str) -> str:
        """Evaluate an Erlang expression on the node; returns the value as a term.

        rabbitmqctl does so, too, but starts an Erlang node of its own, which costs more than a second of the
        processor.
        """
        cookie = (self.folder / ".erlang.cookie").read_text()
        done = subprocess.run(
            ["erl_call", "-sname", self._environment["RABBITMQ_NODENAME"], "-c", cookie, "-e"],
            env=self._environment,
            input=f"{expression}.\n",
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode or not done.stdout.startswith("{ok, "):
            raise RuntimeError(f"{expression}: {done.stdout}{done.stderr}")
        return done.stdout.removeprefix("{ok, ").removesuffix("}")

    def configure(self, **settings: int) -> None:
        """Change settings of RabbitMQ, for new connections and channels, until it is started again."""
        changes = ", ".join(f"application:set_env(rabbit, {key}, {value})" for key, value in settings.items())
        self.evaluate(f"[{changes}]")

    def bindings(self, vhost: str) -> list[tuple[str, str, str]]:
        """Return exchange, routing key and queue of each binding."""
        table = self.evaluate(
            'lists:flatten([io_lib:format("~s ~s ~s|", [Exchange, Key, Queue]) || '
            "{binding, {resource, _, exchange, Exchange}, Key, {resource, _, queue, Queue}, _} <- "
            f'rabbit_binding:list(<<"{vhost}">>)])'
        )
        rows = [row.split(" ") for row in table.strip('"[]').split("|") if row]
        return [(exchange, key, queue) for exchange, key, queue in rows]

    def close_connections(self, vhost: str) -> None:
        """Close all connections to a virtual host, like an operator."""
        self.evaluate(
            "rabbit_connection_tracking_handler:close_connections("
            f'rabbit_connection_tracking:list(<<"{vhost}">>), "a test", 0)'
        )

    def count_messages(self, vhost: str, kind: str) -> int:
        """Return the number of messages, of a kind such as ``messages_ready``, in a virtual host."""
        total = self.evaluate(
            f'lists:sum([Number || Queue <- rabbit_amqqueue:list(<<"{vhost}">>), '
            f"{{_, Number}} <- rabbit_amqqueue:info(Queue, [{kind}])])"
        )
        return int(total)

    def fresh_vhost(self) -> str:
        """Make a new virtual host; return its URI."""
        name = f"v{next(self._vhosts)}"
        self.evaluate(
            f'begin rabbit_vhost:add(<<"{name}">>, <<"tests">>), '
            f'rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"{name}">>, '
            '<<".*">>, <<".*">>, <<".*">>, <<"tests">>) end'
        )
        return f"{self.uri}{name}"

    def _start(self) -> None:
        if self._guard is None:
            self._guard = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "guard", str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        if self._epmd is None:
            # Otherwise the node starts an epmd that outlives it.
            self._epmd = self._spawn("epmd")
        self._server = self._spawn(str(_PROGRAMS / "rabbitmq-server"))
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._is_up():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"RabbitMQ did not start:\n{(self.folder / 'out').read_text()[-4000:]}")
            time.sleep(0.1)

    def _spawn(self, program: str) -> subprocess.Popen[bytes]:
        with (self.folder / "out").open("ab") as out:
            process = subprocess.Popen(
                [program],
                env=self._environment,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        (self.folder / f"group-{Path(program).name}").write_text(str(process.pid))
        return process

    def _is_up(self) -> bool:
        # The broker speaks only after the protocol header; a greeting shows that it serves, not only listens.
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as probe:
                probe.settimeout(2)
                probe.sendall(b"AMQP\0\0\x09\x01")
                return bool(probe.recv(1))
        except OSError:
            return False
