"""With the default configuration, a receiver's outage costs nothing, and no person has to act."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.integration.fault_harness import ACCOUNT, FaultyReceiver, Publisher, start_node
from tests.integration.node_process import NodeProcess, eventually
from tests.integration.rabbitmq import free_port

pytestmark = pytest.mark.timeout(180)


def read_hook(node: NodeProcess, token: str) -> Any:
    (listed,) = node.rest("GET", f"/v2/accounts/{ACCOUNT}/webhooks", token).json()["data"]
    return node.rest("GET", f"/v2/accounts/{ACCOUNT}/webhooks/{listed['id']}", token).json()["data"]


def test_a_receiver_is_away_for_25_seconds(tmp_path: Path, vhost_uri: str) -> None:
    port = free_port()
    node = start_node(tmp_path, vhost_uri, f"http://127.0.0.1:{port}/hook", more="")
    token = node.command("token", "create", "--account", ACCOUNT)
    publisher = Publisher(vhost_uri)
    publisher.publish(50, pause=0.5)
    suspended = read_hook(node, token)
    assert (suspended["enabled"], suspended["disable_reason"]) == (False, "too many failed attempts")
    assert suspended["health"]["deliveries_waiting"] == 50
    receiver = FaultyReceiver(port=port)
    load = threading.Thread(target=publisher.publish, args=(20,), kwargs={"pause": 0.5})
    load.start()
    receiver.verify({f"call-{number}" for number in range(50)}, timeout=60)
    load.join()
    receiver.verify(publisher.confirmed)
    eventually(lambda: read_hook(node, token)["enabled"], "the hook enabled")
    hook = read_hook(node, token)
    assert "disable_reason" not in hook
    assert hook["health"]["events_missed"] == hook["health"]["deliveries_dead"] == 0
    receiver.stop()
    publisher.close()
    node.stop()
