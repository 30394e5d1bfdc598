from __future__ import annotations

from typing import Any, cast
from unittest import mock

from twisted.python.failure import Failure

from kazoo_bridge.webhooks.attempts.attempt_in_flight import AttemptResult
from kazoo_bridge.webhooks.delivery.transit import Transit


def make_transit() -> tuple[Transit, Any]:
    owner = mock.Mock()
    return Transit(mock.Mock(), mock.Mock(), mock.Mock(), owner=owner), owner


def test_its_end_is_reported_once() -> None:
    transit, _ = make_transit()
    ends: list[Failure | None] = []
    transit.when_done(ends.append)
    assert ends == []
    transit.finish(None)
    assert ends == [None]


def test_its_failure_is_reported_also_to_a_late_listener() -> None:
    transit, _ = make_transit()
    failure = Failure(ZeroDivisionError())
    transit.finish(failure)
    ends: list[Failure | None] = []
    transit.when_done(ends.append)
    assert ends == [failure]


def test_the_result_of_its_attempt_reaches_its_owner() -> None:
    transit, owner = make_transit()
    result = AttemptResult(True, 1)
    transit.on_result(result)
    owner.on_attempted.assert_called_once_with(cast(Any, transit), result)
