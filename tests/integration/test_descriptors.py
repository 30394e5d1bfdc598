"""Nodes that may open few files: they start, and outsiders cannot stop their deliveries."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.node_process import NodeProcess, eventually
from tests.integration.web_receiver import WebReceiver
from tests.websockets.raw_socket import HANDSHAKE

MAX_FILES = 1024
ACCOUNT = "1" * 32


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    opened: list[socket.socket] = []
    yield opened
    for one in opened:
        one.close()


def test_sockets_without_a_token_cannot_stop_deliveries(
    tmp_path: Path, receiver: WebReceiver, sockets: list[socket.socket]
) -> None:
    node = NodeProcess(tmp_path, "embedded:", max_files=MAX_FILES)
    node.command("account", "create", "--id", ACCOUNT)
    token = node.command("token", "create", "--account", ACCOUNT)
    try:
        node.start()
        assert "websockets.max_connections is" in node.log_text()
        hook = {"name": "n", "hook": "channel_create", "uri": receiver.url}
        created = node.rest("PUT", f"/v2/accounts/{ACCOUNT}/webhooks", token, hook).json()["data"]
        for number in range(1100):
            one = socket.create_connection(
                ("127.0.0.1", node.websocket_port), 10, (f"127.0.1.{number // 50 + 1}", 0)
            )
            one.sendall(HANDSHAKE)
            sockets.append(one)
        assert node.process is not None
        descriptors = Path(f"/proc/{node.process.pid}/fd")
        assert eventually(lambda: len(list(descriptors.iterdir())) < MAX_FILES - 200, "free descriptors")
        tested = node.rest("POST", f"/v2/accounts/{ACCOUNT}/webhooks/{created['id']}/test", token)
        assert tested.status_code == 200, tested.text
        assert receiver.wait_for(1)
        assert node.is_ready()
    finally:
        node.stop()


def test_limits_beyond_the_descriptors_end_the_start(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, "embedded:", max_files=MAX_FILES)
    text = node.config.read_text().replace("[websockets]\n", "[websockets]\nmax_connections = 5000\n")
    node.config.write_text(text)
    node.start(wait=False)
    assert node.ended() == 1
    (line,) = node.log_text().splitlines()
    assert "websockets.max_connections = 5000" in line
    assert "the process may open 1024" in line
