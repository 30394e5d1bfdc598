"""A node under systemd: its ports are sockets of the manager, which it notifies."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import define

TIMEOUT = 60

#: What systemd does between fork and exec: the sockets are descriptors 3 and 4, meant for this process.
START = """
import os, sys
for target, inherited in enumerate(map(int, sys.argv[1:3]), start=3):
    os.dup2(inherited, target)
names = ":".join(["kazoo-bridge.socket"] * 2)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES=names)
os.execv(sys.argv[3], sys.argv[3:])
"""

HANDSHAKE = (
    "GET / HTTP/1.1\r\nHost: bridge\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@define
class Manager:
    """Holds the ports of REST and websockets, and the socket for notifications, over restarts of a node."""

    rest: socket.socket
    websockets: socket.socket
    notices: socket.socket
    folder: Path

    def start(self) -> subprocess.Popen[bytes]:
        """Start a node, and wait until it reports that it is ready."""
        twistd = str(Path(sys.executable).parent / "twistd")
        config = self.folder / "bridge.toml"
        config.write_text(
            f"""
[storage]
uri = "sqlite:///{self.folder}/bridge.sqlite3"
[http]
endpoint = "systemd:domain=INET:index=0"
[websockets]
endpoint = "systemd:domain=INET:index=1"
"""
        )
        # Numbers beyond 3 and 4, so that neither is overwritten before it has been copied.
        held = (self.rest, self.websockets)
        passed = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD_CLOEXEC, 64) for one in held]
        try:
            node = subprocess.Popen(
                [
                    *(sys.executable, "-c", START, *map(str, passed)),
                    *(twistd, "-n", "--pidfile=", "kazoo_bridge", "--config", str(config)),
                ],
                cwd=self.folder,
                env={**os.environ, "NOTIFY_SOCKET": self.notices.getsockname(), "WATCHDOG_USEC": "60000000"},
                pass_fds=passed,
                stdout=subprocess.DEVNULL,
            )
        finally:
            for number in passed:
                os.close(number)
        assert self.notices.recv(4096).startswith(b"READY=1\n")
        assert self.notices.recv(4096) == b"WATCHDOG=1"
        return node

    def stop(self, node: subprocess.Popen[bytes]) -> None:
        """Stop the node, which drains."""
        node.send_signal(signal.SIGTERM)
        assert self.notices.recv(4096).startswith(b"STOPPING=1\n")
        assert node.wait(TIMEOUT) == 0


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with ExitStack() as stack:
        rest, websockets = (
            stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=16)) for _ in range(2)
        )
        notices = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        notices.bind(str(tmp_path / "notify"))
        notices.settimeout(TIMEOUT)
        yield Manager(rest, websockets, notices, tmp_path)


def asked(held: socket.socket, request: str) -> socket.socket:
    """Connect and send `request`, whether a node runs or not."""
    client = socket.create_connection(held.getsockname(), TIMEOUT)
    client.sendall(request.encode())
    return client


def status(client: socket.socket) -> str:
    with client:
        return client.makefile("rb").readline().split()[1].decode()


def test_a_restart_refuses_no_connection(manager: Manager) -> None:
    request = "GET /healthz HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\n\r\n"
    node = manager.start()
    try:
        assert status(asked(manager.rest, request)) == "200"
        manager.stop(node)
        waiting = asked(manager.rest, request), asked(manager.websockets, HANDSHAKE)
        node = manager.start()
        assert [status(client) for client in waiting] == ["200", "101"]
    finally:
        node.kill()
        node.wait()
