"""A node takes no more memory, descriptors and timers for the thousandth event than for the first ones.

``python -m benchmarks.steady`` looks for an hour; here each round has the same events and clients, and what
the node has after a round, when nothing is under way, is compared with what it had after an earlier one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.harness.events import EventPublisher, account_id, make_event
from benchmarks.harness.receiver import Receiver, ReceiverOptions
from benchmarks.harness.steadiness import Reading, Tolerance, growths, read
from benchmarks.websocket_fanout import Socket
from tests.integration.node_process import NodeProcess, eventually
from tests.integration.rabbitmq import free_port

ACCOUNT = account_id(0)

#: The first rounds do not count: caches and pools fill.
WARM_UP, ROUNDS, EVENTS = 5, 9, 250

#: Of memory 1.5 kB for each event between the two: the ids of the last 10 000 deliveries are remembered, and
#: a delivery that stays takes several kilobytes.
TOLERANCE = Tolerance(resident=1500 * 6 * EVENTS, descriptors=2, delayed_calls=3)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver([free_port()], (WARM_UP + ROUNDS) * EVENTS, ReceiverOptions())
    receiver.start()
    yield receiver
    receiver.stop()


@pytest.fixture
def node(tmp_path: Path, vhost_uri: str) -> Iterator[NodeProcess]:
    node = NodeProcess(tmp_path, vhost_uri)
    # What a client leaves for its return, and the traces of events until they are full, would be more from
    # round to round.
    text = node.config.read_text().replace("[websockets]\n", "[websockets]\nresume_window_s = 0\n")
    text += "\n[trace]\nevents = 500\n"
    node.config.write_text(text)
    node.command("account", "create", "--id", ACCOUNT)
    node.start()
    yield node
    node.stop()


def subscribe(node: NodeProcess, token: str) -> Socket:
    client = Socket(f"127.0.0.1:{node.websocket_port}")
    data = {"account_id": ACCOUNT, "binding": "call.CHANNEL_CREATE.*"}
    client.send({"action": "subscribe", "auth_token": token, "data": data})
    assert client.reply()["status"] == "success"
    return client


def read_frames(client: Socket, count: int) -> None:
    while count > 0:
        client.data += client.socket.recv(1 << 18)
        count -= len(client.frames())


def test_events_leave_nothing_behind(node: NodeProcess, receiver: Receiver, vhost_uri: str) -> None:
    token = node.command("token", "create", "--account", ACCOUNT)
    hook = {"name": "n", "hook": "channel_create", "uri": f"http://127.0.0.1:{receiver.ports[0]}/"}
    assert node.rest("PUT", f"/v2/accounts/{ACCOUNT}/webhooks", token, hook).status_code == 201
    assert node.process is not None
    publisher, staying = EventPublisher(vhost_uri), subscribe(node, token)
    readings: list[Reading] = []
    for published in range(0, (WARM_UP + ROUNDS) * EVENTS, EVENTS):
        visitor = subscribe(node, token)
        for number in range(published, published + EVENTS):
            publisher.publish(make_event(number, [ACCOUNT]))
        publisher.pause(0)
        for client in (staying, visitor):
            read_frames(client, EVENTS)
        visitor.socket.close()
        assert eventually(lambda: receiver.delivered >= published + EVENTS, "webhooks", 60)  # noqa: B023
        readings.append(read(node.process.pid, node.port))
    publisher.close()
    staying.socket.close()
    grown = [growth for growth in growths(readings[WARM_UP:], TOLERANCE) if not growth.is_steady]
    assert grown == [], readings
