"""Random messages and bytes, sent to a live node: no traceback, and no effect on another client."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import pytest_twisted
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.logger import LogLevel, capturedLogs

from tests.websockets.harness import CHILD, RESELLER, Harness

pytestmark = pytest.mark.timeout(60)

ROUNDS, MESSAGES_PER_ROUND = 12, 20

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


def random_messages(number: int, seed: int) -> list[bytes]:
    """Payloads of text frames: mostly messages, some random bytes."""
    generator = random.Random(seed)
    payloads: list[bytes] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=number, database=None, deadline=None, phases=[hypothesis.Phase.generate]
    )
    @hypothesis.given(_MESSAGE)
    def collect(message: Any) -> None:
        text = json.dumps(message, default=str).encode("utf-8", "replace")
        payloads.append(text if generator.random() < 0.9 else generator.randbytes(9))

    collect()
    return payloads


class RawClient(Protocol):
    """Opens a websocket, and then sends bytes that need not be frames."""

    def __init__(self) -> None:
        self.opened: Deferred[None] = Deferred()
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        headers = (
            "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {'x' * 22}==\r\n"
        )
        self.write(f"GET / HTTP/1.1\r\n{headers}\r\n".encode())

    def write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        if not self.opened.called:
            self.opened.callback(None)

    def connectionLost(self, reason: object = None) -> None:
        self.lost.callback(None)


@pytest_twisted.ensureDeferred
async def test_random_frames_and_messages(tmp_path: Path) -> None:
    seed = random.SystemRandom().getrandbits(32)  # part of every failure's message: put it here to repeat it
    generator = random.Random(seed)
    messages = random_messages(ROUNDS * MESSAGES_PER_ROUND, seed)
    harness = await Harness.start(tmp_path, rate_burst=1_000_000, rate_per_second=1_000_000)
    honest = await harness.connect(CHILD)
    await honest.request("subscribe", {"account_id": CHILD, "binding": "call.*.*"})
    host, port = harness.websockets.host.rsplit(":", 1)
    with capturedLogs() as logs:
        for number in range(ROUNDS):
            client = await harness.connect()
            for payload in messages[number * MESSAGES_PER_ROUND : (number + 1) * MESSAGES_PER_ROUND]:
                client.send(payload)
            raw = await connectProtocol(HostnameEndpoint(reactor, host, int(port)), RawClient())
            await raw.opened.addTimeout(5, reactor)
            start = generator.choice([b"", b"\x81\xfe", b"\xc1\x85", b"\x88\x80", b"\x89\xff"])
            raw.write(start + generator.randbytes(generator.randrange(400)))
            raw.transport.loseConnection()
            await harness.publish_call(CHILD, call_id=f"c{number}")
            assert (await honest.event())["data"]["call_id"] == f"c{number}", f"seed {seed}"
            client.drop()
            await client.closed
            await raw.lost.addTimeout(5, reactor)
        assert (await honest.request("ping"))["status"] == "success", f"seed {seed}"
    failures = [event for event in logs if event["log_level"] >= LogLevel.error or event.get("log_failure")]
    assert not failures, f"seed {seed}: {failures[0]}"
    await harness.stop()
