"""What operators ask of running nodes: from outside, over a real broker, and over REST."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kazoo_bridge.cli.trace import describe
from tests.integration.node_process import NodeProcess, eventually
from tests.integration.test_service import Kazoo, create_hook

ACCOUNT, OTHER, MASTER = "1" * 32, "2" * 32, "d" * 32


@pytest.fixture
def node(tmp_path: Path, vhost_uri: str) -> Iterator[NodeProcess]:
    """A node on the broker."""
    yield from _running(NodeProcess(tmp_path, vhost_uri))


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[NodeProcess]:
    """A node whose bus is its own."""
    node = NodeProcess(tmp_path, "embedded:")
    node.command("account", "create", "--id", MASTER, "--superadmin")
    yield from _running(node)


def _running(node: NodeProcess) -> Iterator[NodeProcess]:
    node.command("account", "create", "--id", ACCOUNT)
    node.command("account", "create", "--id", OTHER)
    node.start()
    yield node
    node.stop()


def command(node: NodeProcess, *arguments: str) -> subprocess.Popen[str]:
    """Start the command in a process: a reactor runs once in each."""
    return subprocess.Popen(
        [sys.executable, "-m", "kazoo_bridge.cli", "--config", str(node.config), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(node: NodeProcess, *arguments: str) -> str:
    process = command(node, *arguments)
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, (output, errors)
    return output


def test_over_the_broker(node: NodeProcess, vhost_uri: str) -> None:
    kazoo = Kazoo(vhost_uri)
    token = node.command("token", "create", "--account", ACCOUNT)
    fired = create_hook(node, ACCOUNT, token, uri="http://127.0.0.1:9/", retries=0)["id"]
    silent = create_hook(node, ACCOUNT, token, uri="http://127.0.0.1:9/", hook="channel_answer")["id"]
    tail = command(node, "tail", "--binding", "call.*.*", "--account", ACCOUNT, "--count", "1", "--json")
    assert tail.stderr is not None
    assert tail.stdout is not None
    assert tail.stderr.readline() == "waiting for events; Ctrl-C ends\n"
    kazoo.call(OTHER, "call-of-other")
    kazoo.call(ACCOUNT, "call-0001")
    event = json.loads(tail.stdout.readline())
    assert event["data"]["call_id"] == "call-0001"
    assert tail.wait(60) == 0

    def traced() -> Any:
        found = json.loads(result(node, "trace", "call-0001", "--account", ACCOUNT, "--json"))
        return found if found["attempts"] and found["deliveries"] else None

    message_id = result(node, "publish", "channel_answer", "--account", ACCOUNT).splitlines()[-1]
    found = eventually(traced, "the attempt is recorded", 100)
    (occurrence,) = found["nodes"][0]["events"][0]["occurrences"]
    assert [one["hook_id"] for one in occurrence["fired"]] == [fired]
    assert [one["hook_id"] for one in occurrence["not_fired"]] == [silent]
    text = "\n".join(describe(found))
    assert f"fired hook {fired}: delivery {found['deliveries'][0]['delivery_id']}" in text
    assert f"not hook {silent}: it is for channel_answer, the event is channel_create" in text
    sent = json.loads(result(node, "trace", message_id, "--json"))
    (fired_by_sample,) = sent["nodes"][0]["events"][0]["occurrences"][0]["fired"]
    assert fired_by_sample["hook_id"] == silent
    (status,) = json.loads(result(node, "status", "--json"))
    assert (status["ready"], status["hooks_enabled"]) == (True, 2)
    kazoo.close()


def test_over_rest(embedded: NodeProcess) -> None:
    table = result(embedded, "status").splitlines()
    assert table[0].startswith("NODE ")
    assert table[1].endswith(" yes")
    tail = command(embedded, "tail", "--binding", "object.*.*", "--account", ACCOUNT, "--count", "1")
    assert tail.stderr is not None
    assert tail.stderr.readline() == "waiting for events; Ctrl-C ends\n"
    tail.terminate()
    tail.communicate(timeout=60)
    traced = json.loads(result(embedded, "trace", "unknown-id", "--account", ACCOUNT, "--json"))
    assert (traced["id"], traced["nodes"][0]["events"]) == ("unknown-id", [])


def test_a_broker_without_nodes(tmp_path: Path, vhost_uri: str) -> None:
    node = NodeProcess(tmp_path, vhost_uri)
    process = command(node, "status")
    output, errors = process.communicate(timeout=100)
    assert (process.returncode, output) == (1, "")
    assert "no node answers" in errors
