"""The account of events under faults sees what is lost, repeated and not wanted."""

from __future__ import annotations

from benchmarks.fault_traffic import Confirmed, Requests, account
from tests.integration.fault_harness import ReceivedRequest

CREATED, DESTROYED = "CHANNEL_CREATE", "CHANNEL_DESTROY"


def request(
    call_id: str, webhook_id: str = "", *, answered: bool = True, at: float = 11.0
) -> ReceivedRequest:
    return ReceivedRequest(call_id, webhook_id or f"id-of-{call_id}", answered, at)


def confirmed(*call_ids: str, name: str = CREATED, fault: str = "broker") -> dict[str, Confirmed]:
    return {call_id: Confirmed(name, 10.0, fault) for call_id in call_ids}


def test_each_hook_must_have_each_event_that_it_wants() -> None:
    events = confirmed("1", "2") | confirmed("3", name=DESTROYED)
    results, wrong = account(
        events,
        [
            Requests("a", CREATED, [request("1"), request("2")]),
            Requests("b", CREATED, [request("1")]),
            Requests("c", DESTROYED, []),
        ],
    )
    assert (results["broker"].wanted, results["broker"].arrived, results["broker"].lost) == (5, 3, 2)
    assert results["broker"].missing == {"b": ["2"], "c": ["3"]}
    assert wrong == []


def test_a_loss_belongs_to_the_fault_during_which_the_event_was_confirmed() -> None:
    events = confirmed("1") | confirmed("2", fault="database")
    results, _ = account(events, [Requests("a", CREATED, [request("1")])])
    assert {fault: result.lost for fault, result in results.items()} == {"broker": 0, "database": 1}


def test_a_request_that_was_refused_is_no_arrival() -> None:
    results, _ = account(confirmed("1"), [Requests("a", CREATED, [request("1", answered=False)])])
    assert results["broker"].lost == 1


def test_repetitions_are_counted_and_the_delay_is_that_of_the_first_arrival() -> None:
    requests = [request("1", answered=False, at=12.0), request("1", at=14.0), request("1", at=20.0)]
    results, wrong = account(confirmed("1"), [Requests("a", CREATED, requests)])
    assert (results["broker"].duplicates, results["broker"].longest_delay_s) == ({"a": 1}, 4.0)
    assert wrong == []


def test_a_repetition_with_another_webhook_id_is_wrong() -> None:
    _, wrong = account(confirmed("1"), [Requests("a", CREATED, [request("1", "a"), request("1", "b")])])
    assert wrong == ["a: 1 came with 2 ids"]


def test_one_webhook_id_for_two_events_is_wrong() -> None:
    _, wrong = account(confirmed("1", "2"), [Requests("a", CREATED, [request("1", "a"), request("2", "a")])])
    assert wrong == ["a: two events came with one id"]


def test_an_event_that_a_hook_does_not_want_is_wrong() -> None:
    _, wrong = account(confirmed("1"), [Requests("a", DESTROYED, [request("1")])])
    assert wrong == ["a: 1 was not wanted"]


def test_an_event_that_was_never_confirmed_is_wrong() -> None:
    _, wrong = account({}, [Requests("a", CREATED, [request("1")])])
    assert wrong == ["a: 1 was never confirmed"]
