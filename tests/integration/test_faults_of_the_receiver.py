"""No event is lost when the receiver is down, slow, resets or answers garbage, or connections are cut."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.cutting_proxy import CuttingProxy
from tests.integration.fault_harness import (
    DefaultNode,
    FaultyReceiver,
    Publisher,
    Scenarios,
    receiving,
    start_node,
)
from tests.integration.node_process import eventually
from tests.integration.rabbitmq import RabbitNode, free_port

pytestmark = pytest.mark.timeout(420)

TOO_MANY_FAILURES = "too many failed attempts"


class Customer:
    """An account of the node that all scenarios share."""

    def __init__(self, node: DefaultNode, uri: str, account: str) -> None:
        self.node = node
        self.account = account
        node.add_account(account)
        self.publisher = Publisher(uri, account=account)

    def add_hook(self, url: str, **hook: object) -> None:
        self.node.add_hook(url, self.account, **hook)

    @property
    def disable_reason(self) -> str:
        """Why the service has disabled the only hook; empty while it is enabled."""
        hook = self.node.hook(self.account)
        return "" if hook["enabled"] else hook["disable_reason"]

    def deliveries_waiting(self) -> int:
        return int(self.node.hook(self.account)["health"]["deliveries_waiting"])


def the_receiver_has_every_fault(customer: Customer) -> Iterator[None]:
    """They last until the hook is suspended; the first probe succeeds."""
    behaviours = ["reset", "garbage", "500", "slow", "ok", "silent", "reset", "garbage"]
    with receiving(lambda number: behaviours[number % len(behaviours)]) as receiver:
        customer.add_hook(receiver.url)
        customer.publisher.publish(80)
        customer.publisher.close()
        eventually(lambda: customer.disable_reason == TOO_MANY_FAILURES, "the hook suspended", 60)
        receiver.behaviour = lambda number: "ok"
        yield
        receiver.verify(customer.publisher.confirmed)
        eventually(lambda: not customer.disable_reason, "the hook enabled")


def the_receiver_is_down_and_comes_up_elsewhere(customer: Customer) -> Iterator[None]:
    with receiving() as receiver:
        customer.add_hook(f"http://127.0.0.1:{free_port()}/hook")
        customer.publisher.publish(60)
        customer.publisher.close()
        eventually(lambda: customer.deliveries_waiting() == 60, "all deliveries in the storage")
        hook_id = customer.node.hook(customer.account)["id"]
        customer.node.webhooks("PATCH", f"/{hook_id}", {"uri": receiver.url}, customer.account)
        yield
        receiver.verify(customer.publisher.confirmed)


def the_receiver_is_away_for_25_seconds(customer: Customer) -> Iterator[None]:
    """It costs nothing, and no person has to act."""
    port = free_port()
    customer.add_hook(f"http://127.0.0.1:{port}/hook")
    customer.publisher.publish(50, pause=0.5)
    assert customer.disable_reason == TOO_MANY_FAILURES
    assert customer.deliveries_waiting() == 50
    with receiving(port=port) as receiver:
        customer.publisher.publish(20, pause=0.2)
        customer.publisher.close()
        yield
        receiver.verify(customer.publisher.confirmed)
        eventually(lambda: not customer.disable_reason, "the hook enabled")
    hook = customer.node.hook(customer.account)
    assert "disable_reason" not in hook
    assert hook["health"]["events_missed"] == hook["health"]["deliveries_dead"] == 0


PHASES: dict[str, tuple[int | None, int | None]] = {
    "on connecting": (0, None),
    "in the request's head": (60, None),
    "in the request's body": (500, None),
    "before the answer": (None, 0),
    "in the answer's first line": (None, 9),
    "in the answer's head": (None, 25),
}


def the_connection_to_the_receiver_is_cut(customer: Customer) -> Iterator[None]:
    """In each phase of a request, at one of as many hooks; a hook without faults beside them."""
    receivers = {phase: FaultyReceiver() for phase in PHASES}
    proxies = {phase: CuttingProxy(receivers[phase].port, cut_at_first(phase)) for phase in PHASES}
    with receiving() as sound:
        customer.add_hook(sound.url)
        for phase, proxy in proxies.items():
            customer.add_hook(f"http://127.0.0.1:{proxy.port}/hook", name=phase)
        customer.publisher.publish(20)
        customer.publisher.close()
        yield
        for one in [sound, *receivers.values()]:
            one.verify(customer.publisher.confirmed)
    for phase, proxy in proxies.items():
        assert proxy.cuts
        proxy.stop()
        receivers[phase].stop()


def cut_at_first(phase: str) -> Callable[[int], tuple[int | None, int | None]]:
    """Return how a proxy cuts its connections: the first ones in a phase of the request."""
    return lambda number: PHASES[phase] if number < 15 else (None, None)


def an_ordered_hook_keeps_the_order_through_failures(customer: Customer) -> Iterator[None]:
    """Through retries, the suspension of the hook and its probe."""
    with receiving(lambda number: ("500", "ok", "reset", "ok", "ok")[number % 5]) as receiver:
        customer.add_hook(receiver.url, ordered=True)
        customer.publisher.publish(24, calls=4)
        customer.publisher.close()
        eventually(lambda: customer.disable_reason == TOO_MANY_FAILURES, "the hook suspended", 60)
        receiver.behaviour = lambda number: "ok"
        yield
        eventually(lambda: sum(one.answered for one in receiver.requests) >= 24, "all events", 60)
    for call in range(4):
        requests = [one for one in receiver.requests if one.call_id == f"call-{call}"]
        seen = [one.webhook_id for one in requests if one.answered]
        # No event is attempted before the previous one has been answered.
        assert seen == list(dict.fromkeys(one.webhook_id for one in requests))
        assert len(seen) == 6


SCENARIOS = [
    the_receiver_has_every_fault,
    an_ordered_hook_keeps_the_order_through_failures,
    the_connection_to_the_receiver_is_cut,
    the_receiver_is_away_for_25_seconds,
    the_receiver_is_down_and_comes_up_elsewhere,
]


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory: pytest.TempPathFactory, rabbit: RabbitNode) -> Iterator[Scenarios]:
    """All scenarios, begun on one node, each in its own account."""
    uri = rabbit.fresh_vhost()
    node = DefaultNode(tmp_path_factory.mktemp("node"), uri)
    node.start()
    scenarios = Scenarios()
    for number, scenario in enumerate(SCENARIOS):
        scenarios.begin(scenario, Customer(node, uri, f"{number:032x}"))
    yield scenarios
    node.stop()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_no_event_is_lost(scenarios: Scenarios, scenario: Callable[..., Iterator[None]]) -> None:
    scenarios.end(scenario)


def test_the_connection_to_the_broker_is_cut_at_any_byte(tmp_path: Path, rabbit: RabbitNode) -> None:
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
    uri = rabbit.fresh_vhost()
    proxy = CuttingProxy(rabbit.port, lambda number: (None, None))
    with receiving() as receiver:
        node = start_node(tmp_path, uri.replace(f":{rabbit.port}/", f":{proxy.port}/"), receiver.url)
        publisher = Publisher(uri)
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
        receiver.verify(publisher.confirmed)
    publisher.close()
    node.stop()
    proxy.stop()
