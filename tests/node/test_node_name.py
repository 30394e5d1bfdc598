from __future__ import annotations

import os
import socket

import pytest

from kazoo_bridge.config import Config, Http, NodeSection
from kazoo_bridge.node.node_name import node_name


@pytest.mark.parametrize(
    ("endpoint", "unique"),
    [
        ("tcp:8000:interface=127.0.0.1", "8000"),
        ("tcp:port=8001", "8001"),
        ("haproxy:tcp:8002", "8002"),
        ("tcp:0", str(os.getpid())),
        ("unix:/run/kazoo-bridge.sock", str(os.getpid())),
    ],
)
def test_two_nodes_on_one_host_have_different_names(endpoint: str, unique: str) -> None:
    assert node_name(Config(http=Http(endpoint=endpoint))) == f"kazoo_bridge@{socket.gethostname()}:{unique}"


def test_a_worker_has_the_name_of_the_first_process_with_its_number() -> None:
    for endpoint, unique in (("tcp:8000", "8000"), ("tcp:0", str(os.getppid()))):
        name = node_name(Config(http=Http(endpoint=endpoint)), worker=2)
        assert name == f"kazoo_bridge@{socket.gethostname()}:{unique}-2"


def test_the_configured_name() -> None:
    assert node_name(Config(node=NodeSection(name="bridge-a@host"))) == "bridge-a@host"
