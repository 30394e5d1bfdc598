from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from kazoo_bridge.directory.shared_reads import SharedReads
from kazoo_bridge.interfaces import StorageUnavailable
from tests.directory.couchdb.harness import error_of, result_of


class Harness:
    """Reads that end when `source` fires."""

    def __init__(self) -> None:
        self.reads: SharedReads[str] = SharedReads()
        self.source: Deferred[str] = Deferred()
        self.started = 0

    async def read(self) -> str:
        self.started += 1
        return await self.source

    def join(self, key: str = "a") -> Deferred[str]:
        return self.reads.join(key, self.read)


def test_callers_share_a_read() -> None:
    harness = Harness()
    waiting = [harness.join() for _ in range(3)]
    assert (harness.started, len(harness.reads), "a" in harness.reads, "b" in harness.reads) == (
        1,
        1,
        True,
        False,
    )
    harness.source.callback("x")
    assert [result_of(one) for one in waiting] == ["x"] * 3
    assert len(harness.reads) == 0
    harness.source = Deferred()
    harness.source.callback("y")
    assert (result_of(harness.join()), harness.started) == ("y", 2)


def test_callers_share_a_failure() -> None:
    harness = Harness()
    waiting = [harness.join() for _ in range(3)]
    harness.source.errback(StorageUnavailable("away"))
    assert [error_of(one) for one in waiting] == ["away"] * 3
    assert len(harness.reads) == 0


def test_a_caller_that_is_cancelled_ends_neither_the_read_nor_the_wait_of_others() -> None:
    harness = Harness()
    first, second = harness.join(), harness.join()
    assert (harness.reads.waiters("a"), harness.reads.waiters("b")) == (2, 0)
    first.addErrback(lambda _: None).cancel()
    assert (len(harness.reads), harness.reads.waiters("a"), second.called) == (1, 1, False)
    harness.source.callback("x")
    assert result_of(second) == "x"


def test_a_read_that_ends_at_once() -> None:
    harness = Harness()
    harness.source.callback("x")
    assert result_of(harness.join()) == "x"
    assert len(harness.reads) == 0


def test_a_caller_may_cancel_another_one() -> None:
    harness = Harness()
    first, second = harness.join(), harness.join()
    cancelled: list[Failure] = []
    second.addErrback(cancelled.append)
    first.addCallback(lambda _: second.cancel())
    harness.source.callback("x")
    assert (first.called, [one.type for one in cancelled], len(harness.reads)) == (True, [CancelledError], 0)
