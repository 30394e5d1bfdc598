"""The examples of the protocol's documentation, carried out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import DeferredQueue

from tests.websockets.stage import RESELLER, Stage

pytestmark = pytest.mark.timeout(30)

_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "websocket-protocol.md"
DIALOGUES = re.findall(r"```text\n(.*?)```", _PAGE.read_text(), re.DOTALL)


def agrees(expected: Any, got: Any) -> bool:
    """Whether what came is what the page says; … is anything."""
    if isinstance(expected, dict) and isinstance(got, dict):
        return set(expected) == set(got) and all(agrees(expected[name], got[name]) for name in expected)
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(map(agrees, expected, got))
    if isinstance(expected, str) and "…" in expected:
        return expected == "…" or (
            isinstance(got, str) and re.fullmatch(re.escape(expected).replace("…", ".*"), got) is not None
        )
    return bool(expected == got)


def test_there_are_dialogues() -> None:
    assert len(DIALOGUES) >= 6
    assert not agrees({"a": "x …"}, {"a": "y"})
    assert not agrees({"a": 1}, {"a": 1, "b": 2})


@pytest.mark.parametrize(
    "dialogue", DIALOGUES, ids=[text.split('"action": "')[1].split('"')[0] for text in DIALOGUES]
)
@pytest_twisted.ensureDeferred
async def test_dialogue(stage: Stage, dialogue: str) -> None:
    client = await stage.client(None)
    messages: DeferredQueue[Any] = DeferredQueue()
    client.got = lambda payload: messages.put(json.loads(payload))  # type: ignore[method-assign]
    text = dialogue.replace("TOKEN", stage.tokens[RESELLER]).replace("ACCOUNT", RESELLER)
    for line in text.strip().splitlines():
        who, said = line[:1], line[3:]
        if who == "C":
            client.send(said.encode())
        elif who == "B":
            exchange, key, body = said.split(" ", 2)
            await stage.publish(exchange, key, **json.loads(body))
        else:
            got = await messages.get().addTimeout(5, reactor)
            assert agrees(json.loads(said), got), f"expected {said}, got {got}"
