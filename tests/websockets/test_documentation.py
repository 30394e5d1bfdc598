"""Runs the examples of the protocol's documentation."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import DeferredQueue

from tests.websockets.harness import RESELLER, Harness

pytestmark = pytest.mark.timeout(30)

_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "websocket-protocol.md"
DIALOGUES = re.findall(r"```text\n(.*?)```", _PAGE.read_text(), re.DOTALL)


def matches(expected: Any, received: Any) -> bool:
    """Whether a message is the expected one; … stands for anything."""
    if isinstance(expected, dict) and isinstance(received, dict):
        return set(expected) == set(received) and all(
            matches(expected[name], received[name]) for name in expected
        )
    if isinstance(expected, list) and isinstance(received, list):
        return len(expected) == len(received) and all(map(matches, expected, received))
    if isinstance(expected, str) and "…" in expected:
        return expected == "…" or (
            isinstance(received, str)
            and re.fullmatch(re.escape(expected).replace("…", ".*"), received) is not None
        )
    return bool(expected == received)


def test_there_are_dialogues() -> None:
    assert len(DIALOGUES) >= 6
    assert not matches({"a": "x …"}, {"a": "y"})
    assert not matches({"a": 1}, {"a": 1, "b": 2})


@pytest.mark.parametrize(
    "dialogue", DIALOGUES, ids=[text.split('"action": "')[1].split('"')[0] for text in DIALOGUES]
)
@pytest_twisted.ensureDeferred
async def test_dialogue(harness: Harness, dialogue: str) -> None:
    client = await harness.connect(None)
    messages: DeferredQueue[Any] = DeferredQueue()
    client.on_message = lambda payload: messages.put(json.loads(payload))  # type: ignore[method-assign]
    text = dialogue.replace("TOKEN", harness.tokens[RESELLER]).replace("ACCOUNT", RESELLER)
    for line in text.strip().splitlines():
        sender, content = line[:1], line[3:]
        if sender == "C":
            client.send(content.encode())
        elif sender == "B":
            exchange, key, body = content.split(" ", 2)
            await harness.publish(exchange, key, **json.loads(body))
        else:
            received = await messages.get().addTimeout(5, reactor)
            assert matches(json.loads(content), received), f"expected {content}, received {received}"
