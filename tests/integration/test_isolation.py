"""Receivers that hang delay only their own hooks, with more events than the broker delivers at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from tests.integration.fault_harness import DefaultNode, FaultyReceiver
from tests.integration.kazoo_events import call_event
from tests.integration.node_process import eventually

pytestmark = pytest.mark.timeout(120)

HEALTHY = "f" * 32
HANGING = [f"{number:032x}" for number in range(1, 6)]

#: Seconds after which the first hanging request times out, by default.
REQUEST_TIMEOUT = 10.0


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
    channel.basic_publish("callevt", f"call.{name}.{call_id}", json.dumps(body).encode())


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
    node = DefaultNode(tmp_path, vhost_uri)
    for account in [*HANGING[:accounts], HEALTHY]:
        node.add_account(account)
    node.start()
    for account in HANGING[:accounts]:
        for _ in range(hooks):
            node.add_hook(hanging.url, account)
    # One hook in an account whose other hooks hang, one in another account.
    for account in (HANGING[0], HEALTHY):
        node.add_hook(healthy.url, account, hook="channel_answer")

    connection = pika.BlockingConnection(pika.URLParameters(vhost_uri))
    channel = connection.channel()
    # Without confirms, so that no hanging request times out before all events have been published.
    for number in range(events):
        for account in HANGING[:accounts]:
            publish(channel, account, f"hangs-{account[-1]}-{number}", "CHANNEL_CREATE")
    eventually(lambda: hanging.requests, "requests that hang")
    first_hanging = min(one.at for one in list(hanging.requests))
    sent = {f"{account[-1]}-{number}": account for number in range(50) for account in (HANGING[0], HEALTHY)}
    for call_id, account in sent.items():
        publish(channel, account, call_id, "CHANNEL_ANSWER")
    eventually(lambda: sent.keys() <= healthy.answered, "the others' events")
    # They have not waited for the end of a hanging request.
    assert max(one.at for one in healthy.requests) < first_hanging + REQUEST_TIMEOUT
    connection.close()
    node.stop()
