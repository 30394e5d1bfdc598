from __future__ import annotations

from typing import Any
from unittest import mock

from kazoo_bridge.webhooks.attempts.attempt_in_flight import AttemptResult, ReportedAttempt
from kazoo_bridge.webhooks.http.sender import Outcome


def make_attempt() -> tuple[ReportedAttempt, Any, list[AttemptResult]]:
    runner, results = mock.Mock(), list[AttemptResult]()
    return ReportedAttempt(runner, mock.Mock(), mock.Mock(), done=results.append), runner, results


def test_its_outcome_waits_for_those_of_the_turn() -> None:
    attempt, runner, results = make_attempt()
    attempt.on_outcome(Outcome(True, 200))
    runner.take_answered.assert_called_once_with(attempt)
    assert results == []
    attempt.on_result(AttemptResult(True, 1))
    assert results == [AttemptResult(True, 1)]


def test_cancelling_closes_its_connection_and_releases_its_slot_once() -> None:
    attempt, runner, _ = make_attempt()
    exchange = attempt.exchange = mock.Mock()
    attempt.cancel()
    attempt.cancel()
    exchange.cancel.assert_called_once_with()
    runner.release_unsent.assert_called_once_with(attempt.slot)


def test_a_result_is_done_if_nothing_is_kept_of_the_delivery() -> None:
    assert AttemptResult(True, 1).done
    assert AttemptResult(False, 1, dropped=True).done
    assert not AttemptResult(False, 1, 5.0).done
    assert AttemptResult(False, 1, status=410).gone


def test_an_attempt_with_an_outcome_refers_to_no_exchange() -> None:
    # The exchange refers to the attempt: only the garbage collector would free them.
    attempt, _, _ = make_attempt()
    attempt.exchange = mock.Mock()
    attempt.on_outcome(Outcome(True, 200))
    assert attempt.exchange is None
