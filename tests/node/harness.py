"""A node over the embedded bus and SQLite, on free ports of loopback."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from attrs import evolve
from twisted.internet import reactor

from kazoo_bridge.config import Config, Egress, Http, Storage, Webhooks, Websockets
from kazoo_bridge.node.assembly import build_node
from kazoo_bridge.node.node import Node

_FREE_PORT = "tcp:0:interface=127.0.0.1"


def make_config(folder: Path) -> Config:
    """A configuration whose storage is in `folder`, and which lets webhooks go to loopback."""
    return evolve(
        Config(),
        storage=Storage(f"sqlite:///{folder}/node.sqlite3"),
        http=Http(_FREE_PORT),
        websockets=Websockets(_FREE_PORT),
        webhooks=Webhooks(request_timeout_ms=1000),
        egress=evolve(Egress(), allowed_networks=("127.0.0.0/8",)),
    )


def make_node(folder: Path, loading: Callable[[], AbstractContextManager[None]] = nullcontext) -> Node:
    return build_node(reactor, make_config(folder), loading)
