"""Anything at all, sent to a live server, for a bounded time: no traceback, no other socket disturbed."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import globalLogPublisher

from tests.websockets.stage import CHILD, RESELLER, Stage

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning"),
]

SECONDS = 6.0

_JSON: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_BINDING = st.sampled_from(
    ["call", "object", "fax", "conference", "presence", "notification", "parking", "calls", "#", "*"]
).flatmap(
    lambda first: st.lists(
        st.sampled_from(["*", "#", "", "status", "event", "x", "doc_created", "CHANNEL_CREATE"]), max_size=4
    ).map(lambda rest: ".".join([first, *rest]))
)
_DATA = st.fixed_dictionaries(
    {},
    optional={
        "account_id": st.sampled_from([RESELLER, CHILD, "*", "", 5]),
        "binding": _BINDING | _JSON,
        "bindings": st.lists(_BINDING | _JSON, max_size=5) | _JSON,
        "session": _JSON,
        "sequence": _JSON,
        "call_id": _JSON,
        "command": st.sampled_from(["hangup", "metaflow"]) | _JSON,
        "name": _JSON,
        "metadata": _JSON,
    },
)
_MESSAGE = st.fixed_dictionaries(
    {"action": st.sampled_from(["subscribe", "unsubscribe", "ping", "resume", "command", "x"]) | _JSON},
    optional={
        "data": _DATA | _JSON,
        "request_id": _JSON,
        "auth_token": _JSON,
        "name": _JSON,
        "metadata": _JSON,
    },
)


class Raw(Protocol):
    """Opens a websocket and then sends bytes of its own."""

    def __init__(self) -> None:
        self.opened: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        fields = (
            "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
            + "x" * 22
            + "=="
        )
        assert self.transport is not None
        self.transport.write(f"GET / HTTP/1.1\r\n{fields}\r\n\r\n".encode())

    def dataReceived(self, data: bytes) -> None:
        if not self.opened.called:
            self.opened.callback(None)

    def connectionLost(self, reason: object = None) -> None:
        self.gone.callback(None)


@pytest_twisted.ensureDeferred
async def test_random_frames_and_messages(tmp_path: Path) -> None:
    stage = await Stage.of(tmp_path, rate_burst=1_000_000, rate_per_second=1_000_000)
    failures: list[Any] = []

    def observe(event: Any) -> None:
        if event.get("log_failure") is not None or event["log_level"].name in ("error", "critical"):
            failures.append(event)

    globalLogPublisher.addObserver(observe)
    honest = await stage.client(CHILD)
    await honest.ask("subscribe", {"account_id": CHILD, "binding": "call.*.*"})
    seed = int.from_bytes(os.urandom(4), "big")
    chance = random.Random(seed)
    host, port = stage.bridge.websockets.host.rsplit(":", 1)
    endpoint = clientFromString(reactor, f"tcp:{host}:{port}")
    deadline, rounds = time.monotonic() + SECONDS, 0
    try:
        while time.monotonic() < deadline:
            rounds += 1
            client = await stage.client()
            for _ in range(20):
                client.send(
                    json.dumps(_MESSAGE.example(), default=str).encode("utf-8", "replace")
                    if chance.random() < 0.9
                    else os.urandom(9)
                )
            raw = await endpoint.connect(Factory.forProtocol(Raw))
            await raw.opened.addTimeout(5, reactor)
            raw.transport.write(
                chance.choice([b"", b"\x81\xfe", b"\xc1\x85", b"\x88\x80", b"\x89\xff"])
                + os.urandom(chance.randrange(400))
            )
            raw.transport.loseConnection()
            await stage.call(CHILD, call_id=f"c{rounds}")
            assert (await honest.event())["data"]["call_id"] == f"c{rounds}", f"seed {seed}"
            client.protocol.dropConnection(abort=True)
            await client.closed
            await raw.gone.addTimeout(5, reactor)
        assert (await honest.ask("ping"))["status"] == "success"
        assert not failures, f"seed {seed}: {failures[0]}"
        assert rounds > 3
    finally:
        globalLogPublisher.removeObserver(observe)
        await stage.stop()
