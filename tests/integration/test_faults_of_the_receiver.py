"""No event is lost when the receiver is down, slow, resets or answers garbage, or connections are cut."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.cutting_proxy import CuttingProxy
from tests.integration.fault_harness import ACCOUNT, SHORT_WAITS, FaultyReceiver, Publisher, start_node
from tests.integration.node_process import NodeProcess, eventually

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def receiver() -> Iterator[FaultyReceiver]:
    made = FaultyReceiver()
    yield made
    made.stop()


def verify_and_stop(node: NodeProcess, receiver: FaultyReceiver, publisher: Publisher) -> None:
    receiver.verify(publisher.confirmed)
    publisher.close()
    node.stop()


def test_the_receiver_has_every_fault(tmp_path: Path, vhost_uri: str, receiver: FaultyReceiver) -> None:
    behaviours = ["reset", "garbage", "500", "slow", "ok", "silent", "reset", "garbage"]
    receiver.behaviour = lambda number: behaviours[number % len(behaviours)] if number < 24 else "ok"
    node = start_node(tmp_path, vhost_uri, receiver.url, more=SHORT_WAITS)
    publisher = Publisher(vhost_uri)
    publisher.publish(80)
    verify_and_stop(node, receiver, publisher)


def test_the_receiver_is_down_and_comes_up(tmp_path: Path, vhost_uri: str, receiver: FaultyReceiver) -> None:
    proxy = CuttingProxy(receiver.port, lambda _: (None, None))
    proxy.stop()  # nothing listens on its port
    node = start_node(tmp_path, vhost_uri, f"http://127.0.0.1:{proxy.port}/hook", more=SHORT_WAITS)
    publisher = Publisher(vhost_uri)
    publisher.publish(60)
    token = node.command("token", "create", "--account", "a" * 32)

    def waiting() -> bool:
        answer = node.rest("GET", f"/v2/accounts/{'a' * 32}/webhooks/deliveries?paginate=false", token).json()
        return len(answer["data"]) == 60

    eventually(waiting, "all deliveries in the storage")
    (hook,) = node.rest("GET", f"/v2/accounts/{'a' * 32}/webhooks", token).json()["data"]
    node.rest("PATCH", f"/v2/accounts/{'a' * 32}/webhooks/{hook['id']}", token, {"uri": receiver.url})
    verify_and_stop(node, receiver, publisher)


PHASES: dict[str, tuple[int | None, int | None]] = {
    "on connecting": (0, None),
    "in the request's head": (60, None),
    "in the request's body": (500, None),
    "before the answer": (None, 0),
    "in the answer's first line": (None, 9),
    "in the answer's head": (None, 25),
}


def test_the_connection_to_the_receiver_is_cut(
    tmp_path: Path, vhost_uri: str, receiver: FaultyReceiver
) -> None:
    """In each phase of a request, at one of as many hooks of one node; a hook without faults beside them."""
    node = start_node(tmp_path, vhost_uri, receiver.url)
    token = node.command("token", "create", "--account", ACCOUNT)
    receivers, proxies = {}, {}
    for phase in PHASES:
        receivers[phase] = FaultyReceiver()
        proxies[phase] = CuttingProxy(receivers[phase].port, cut_at_first(phase))
        hook = {"name": phase, "uri": f"http://127.0.0.1:{proxies[phase].port}/hook", "retries": 0}
        hook |= {"hook": "channel_create", "format": "json"}
        made = node.rest("PUT", f"/v2/accounts/{ACCOUNT}/webhooks", token, hook)
        assert made.status_code == 201, made.text
    publisher = Publisher(vhost_uri)
    publisher.publish(20)
    for one in receivers.values():
        one.verify(publisher.confirmed)
        one.stop()
    verify_and_stop(node, receiver, publisher)
    for proxy in proxies.values():
        assert proxy.cuts
        proxy.stop()


def cut_at_first(phase: str) -> Callable[[int], tuple[int | None, int | None]]:
    """Return how a proxy cuts its connections: the first ones in a phase of the request."""
    return lambda number: PHASES[phase] if number < 15 else (None, None)


def test_an_ordered_hook_keeps_the_order_through_failures(
    tmp_path: Path, vhost_uri: str, receiver: FaultyReceiver
) -> None:
    receiver.behaviour = lambda number: ("500", "ok", "reset", "ok", "ok")[number % 5]
    node = start_node(tmp_path, vhost_uri, receiver.url, SHORT_WAITS, ordered=True)
    publisher = Publisher(vhost_uri)
    publisher.publish(24, calls=4)
    eventually(lambda: sum(one.answered for one in receiver.requests) >= 24, "all events", 60)
    for call in range(4):
        seen = [one.webhook_id for one in receiver.requests if one.call_id == f"call-{call}" and one.answered]
        tried = list(
            dict.fromkeys(one.webhook_id for one in receiver.requests if one.call_id == f"call-{call}")
        )
        # No event is attempted before the previous one has been answered.
        assert seen == tried
        assert len(seen) == 6
    publisher.close()
    node.stop()


def test_the_connection_to_the_broker_is_cut_at_any_byte(
    tmp_path: Path, rabbit_port: int, vhost_uri: str, receiver: FaultyReceiver
) -> None:
    # The handshake takes some hundred bytes; the topology and the events follow.
    limits = [
        (0, None),
        (None, 0),
        (None, 300),
        (300, None),
        (None, 900),
        (900, None),
        (3000, None),
        (None, 3000),
        (None, 20_000),
    ]
    proxy = CuttingProxy(rabbit_port, lambda number: (None, None))
    node = start_node(tmp_path, vhost_uri.replace(f":{rabbit_port}/", f":{proxy.port}/"), receiver.url)
    publisher = Publisher(vhost_uri)
    proxy.cut = lambda number: limits[number % len(limits)] if number < 10 else (None, None)
    load = threading.Thread(target=publisher.publish, args=(300,), kwargs={"pause": 0.01})
    load.start()
    for _ in range(4):
        seen = len(receiver.requests)
        deadline = time.monotonic() + 3
        while len(receiver.requests) < seen + 20 and time.monotonic() < deadline:
            time.sleep(0.005)
        proxy.cut_all()
    load.join()
    verify_and_stop(node, receiver, publisher)
    proxy.stop()


@pytest.fixture
def rabbit_port(vhost_uri: str) -> int:
    return int(vhost_uri.rsplit(":", 1)[1].split("/")[0])
