from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from kazoo_bridge.calls.concurrency import ConcurrencyLimit

MANY = 3000


def test_thousands_of_coroutines_that_end_synchronously_do_not_nest() -> None:
    limit = ConcurrencyLimit(1)
    gate: Deferred[None] = Deferred()
    done: list[int] = []

    async def wait() -> None:
        await gate

    async def end(number: int) -> None:
        done.append(number)

    first = limit.run(wait)
    rest = [limit.run(partial(end, number)) for number in range(MANY)]
    assert not done
    gate.callback(None)
    assert first.called
    assert all(one.called for one in rest)
    assert done == list(range(MANY))


def test_at_most_the_limit_runs_and_cancelling_frees_a_place() -> None:
    limit = ConcurrencyLimit(2)
    gates: list[Deferred[None]] = []
    failures: list[Any] = []

    async def wait() -> None:
        gates.append(Deferred())
        await gates[-1]

    one, two, three, four = (limit.run(wait).addErrback(failures.append) for _ in range(4))
    assert len(gates) == 2
    three.cancel()
    one.cancel()
    assert len(failures) == 2
    assert len(gates) == 3
    assert not two.called
    assert not four.called
    gates[1].callback(None)
    gates[2].callback(None)
    assert two.called
    assert four.called


def test_a_failure_is_the_result() -> None:
    limit = ConcurrencyLimit(1)
    failures: list[Any] = []

    async def fail() -> None:
        raise RuntimeError("broken")

    for _ in range(2):
        limit.run(fail).addErrback(failures.append)
    assert [failure.getErrorMessage() for failure in failures] == ["broken", "broken"]
