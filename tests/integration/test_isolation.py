"""Receivers that hang delay only their own hooks, with more events than the broker delivers at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from tests.integration.fault_harness import FaultyReceiver
from tests.integration.kazoo_events import call_event
from tests.integration.node_process import NodeProcess, eventually

pytestmark = pytest.mark.timeout(120)

MASTER, HEALTHY = "e" * 32, "f" * 32
HANGING = [f"{number:032x}" for number in range(1, 6)]

#: No hanging request times out during the test.
LONG_TIMEOUT = "[webhooks]\nrequest_timeout_ms = 600000\n"


@pytest.fixture
def receivers() -> Iterator[tuple[FaultyReceiver, FaultyReceiver]]:
    made = FaultyReceiver(lambda _: "hang"), FaultyReceiver()
    yield made
    for one in made:
        one.stop()


def publish(
    channel: pika.adapters.blocking_connection.BlockingChannel, account: str, call_id: str, name: str
) -> None:
    body = call_event(account, call_id) | {"Event-Name": name, "Msg-ID": call_id}
    channel.basic_publish("callevt", f"call.{name}.{call_id}", json.dumps(body).encode(), mandatory=True)


@pytest.mark.parametrize(
    ("accounts", "hooks", "events"),
    [(1, 1, 700), (5, 2, 150)],
    ids=["one hook", "ten hooks of five accounts"],
)
def test_other_hooks_are_not_delayed(
    tmp_path: Path,
    vhost_uri: str,
    receivers: tuple[FaultyReceiver, FaultyReceiver],
    accounts: int,
    hooks: int,
    events: int,
) -> None:
    hanging, healthy = receivers
    node = NodeProcess(tmp_path, vhost_uri, LONG_TIMEOUT)
    node.command("account", "create", "--id", MASTER, "--superadmin")
    token = node.command("token", "create", "--account", MASTER)
    for account in [*HANGING[:accounts], HEALTHY]:
        node.command("account", "create", "--id", account)
    node.start()

    def hook(account: str, uri: str, event: str) -> None:
        document = {"name": "n", "uri": uri, "hook": event, "format": "json"}
        assert node.rest("PUT", f"/v2/accounts/{account}/webhooks", token, document).status_code == 201

    for account in HANGING[:accounts]:
        for _ in range(hooks):
            hook(account, hanging.url, "channel_create")
    # One hook in an account whose other hooks hang, one in another account.
    for account in (HANGING[0], HEALTHY):
        hook(account, healthy.url, "channel_answer")

    connection = pika.BlockingConnection(pika.URLParameters(vhost_uri))
    channel = connection.channel()
    channel.confirm_delivery()
    for number in range(events):
        for account in HANGING[:accounts]:
            publish(channel, account, f"hangs-{account[-1]}-{number}", "CHANNEL_CREATE")
    eventually(lambda: hanging.requests, "requests that hang")
    sent = {f"{account[-1]}-{number}": account for number in range(50) for account in (HANGING[0], HEALTHY)}
    for call_id, account in sent.items():
        publish(channel, account, call_id, "CHANNEL_ANSWER")
    eventually(lambda: sent.keys() <= healthy.answered, "the others' events")
    connection.close()
    node.stop()
