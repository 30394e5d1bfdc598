"""Runs a coroutine in a reactor, for commands that use the network."""

from __future__ import annotations

import signal
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Work(Protocol[T_co]):
    """What a command does with a reactor."""

    def __call__(self, reactor: Any, /) -> Coroutine[Any, Any, T_co]:
        """Return the coroutine to run."""


def run(work: Work[T]) -> T:
    """Run the coroutine of `work` and return its result, or raise the `click.ClickException` that it raises.

    A process can do it once, as a reactor runs once. Ctrl-C ends it with exit code 130, and so does the end
    of its terminal (SIGHUP), unless the signal is ignored (nohup).
    """
    # Here, because most commands need no reactor.
    from twisted.internet.defer import Deferred
    from twisted.internet.task import react
    from twisted.python.failure import Failure

    results: list[Any] = []

    def main(reactor: Any) -> Any:
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reactor.stop))
        return Deferred.fromCoroutine(work(reactor)).addBoth(results.append)

    try:
        react(main)
    except SystemExit as exit_:
        if exit_.code or not results:
            raise SystemExit(130 if not results else exit_.code) from None
    (result,) = results
    if isinstance(result, Failure):
        result.raiseException()
    value: T = result
    return value
