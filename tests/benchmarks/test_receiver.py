"""The receiver answers and records as it is asked to, and its records are accounted for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest
import requests

from benchmarks.harness.receiver import (
    Account,
    Arrival,
    Receiver,
    ReceiverOptions,
    account_for,
    delivery_times,
)
from tests.integration.rabbitmq import free_port


@pytest.fixture
def started() -> Iterator[list[Receiver]]:
    receivers: list[Receiver] = []
    yield receivers
    for one in receivers:
        one.stop()


def start(started: list[Receiver], options: ReceiverOptions, ports: int = 1) -> Receiver:
    receiver = Receiver([free_port() for _ in range(ports)], 100, options)
    receiver.start()
    started.append(receiver)
    return receiver


def post(receiver: Receiver, events: Sequence[int], port: int = 0) -> list[int]:
    url = f"http://127.0.0.1:{receiver.ports[port]}/hook"
    with requests.Session() as session:
        return [
            session.post(url, data=f"a=b&t=bench-{event:08d}", headers={"Webhook-Id": str(event)}).status_code
            for event in events
        ]


def test_requests_on_one_connection_are_answered_and_recorded(started: list[Receiver]) -> None:
    receiver = start(started, ReceiverOptions(), ports=2)
    began = time.monotonic()
    assert post(receiver, [3, 4]) == [200, 200]
    assert post(receiver, [3], port=1) == [200]
    found = list(receiver.arrivals())
    assert [(one.event, one.port, one.status) for one in found] == [(3, 0, 200), (4, 0, 200), (3, 1, 200)]
    assert began < found[0].at < found[1].at < time.monotonic()
    assert found[0].webhook_id == found[2].webhook_id != found[1].webhook_id
    assert (receiver.delivered, receiver.connections, receiver.unreadable) == (3, 2, 0)


def test_the_number_of_an_event_may_be_in_the_query(started: list[Receiver]) -> None:
    receiver = start(started, ReceiverOptions())
    assert requests.get(f"http://127.0.0.1:{receiver.ports[0]}/hook?t=bench-00000007").status_code == 200
    assert [(one.event, one.webhook_id) for one in receiver.arrivals()] == [(7, 0)]


def test_a_request_without_a_number_is_unreadable(started: list[Receiver]) -> None:
    receiver = start(started, ReceiverOptions())
    requests.post(f"http://127.0.0.1:{receiver.ports[0]}/", data="bench-99999999")
    assert (list(receiver.arrivals()), receiver.unreadable) == ([], 1)


def test_a_share_of_the_events_fails_once(started: list[Receiver]) -> None:
    receiver = start(started, ReceiverOptions(fail_percent=5))
    assert post(receiver, range(100)).count(500) == 5
    assert post(receiver, range(100)) == [200] * 100
    assert account_for(list(receiver.arrivals()), 100) == Account(200, 100, 0, 95, 5, 0)


def test_answers_are_delayed(started: list[Receiver]) -> None:
    receiver = start(started, ReceiverOptions(delay_ms=200))
    began = time.monotonic()
    assert post(receiver, [1]) == [200]
    assert time.monotonic() - began >= 0.2


def test_a_hanging_receiver_does_not_answer(started: list[Receiver]) -> None:
    receiver = start(started, ReceiverOptions(hang=True))
    with pytest.raises(requests.Timeout):
        requests.post(f"http://127.0.0.1:{receiver.ports[0]}/", data="bench-00000001", timeout=0.3)
    assert [(one.event, one.status) for one in receiver.arrivals()] == [(1, 0)]
    assert receiver.delivered == 0


def test_losses_duplicates_and_changed_ids_are_counted() -> None:
    arrivals = [
        Arrival(1.0, 10, 0, 0, 200),
        Arrival(2.0, 11, 1, 0, 500),
        Arrival(3.0, 12, 1, 0, 200),
        Arrival(4.0, 10, 0, 0, 200),
        Arrival(5.0, 0, 2, 0, 200),
        Arrival(6.0, 14, 4, 0, 500),
    ]
    assert account_for(arrivals, 5) == Account(
        requests=6, delivered=3, losses=2, duplicates=1, failures=2, changed_ids=2
    )
    assert delivery_times(arrivals) == [1.0, 3.0, 5.0]
