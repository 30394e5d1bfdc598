from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from kazoo_bridge.storage.couchdb_hooks.keyed_locks import KeyedLocks


class Holder:
    """Holds locks until `release` is called."""

    def __init__(self, locks: KeyedLocks, keys: Iterable[str]) -> None:
        self.holds = False
        self._released: Deferred[None] = Deferred()
        self.done = Deferred.fromCoroutine(self._hold(locks, keys))

    async def _hold(self, locks: KeyedLocks, keys: Iterable[str]) -> None:
        async with locks.hold(keys):
            self.holds = True
            await self._released
        self.holds = False

    def release(self) -> None:
        self._released.callback(None)


def test_holders_of_a_key_come_one_after_another() -> None:
    locks = KeyedLocks()
    first, second, other = Holder(locks, "ab"), Holder(locks, "bc"), Holder(locks, "d")
    assert (first.holds, second.holds, other.holds) == (True, False, True)
    first.release()
    assert (first.holds, second.holds) == (False, True)
    second.release()
    other.release()
    assert len(locks) == 0


def test_two_holders_never_wait_for_each_other() -> None:
    locks = KeyedLocks()
    holders = [Holder(locks, keys) for keys in ("ab", "ba", "bab")]
    for holder in holders:
        assert holder.holds
        holder.release()
    assert len(locks) == 0


def test_a_wait_that_is_cancelled_gives_back_what_it_holds() -> None:
    locks = KeyedLocks()
    first, second, third = Holder(locks, "b"), Holder(locks, "ab"), Holder(locks, "a")
    assert not third.holds
    second.done.cancel()
    SynchronousTestCase().failureResultOf(second.done, CancelledError)
    assert third.holds
    third.release()
    first.release()
    assert len(locks) == 0


def test_a_failure_releases() -> None:
    locks = KeyedLocks()

    async def fail() -> None:
        async with locks.hold(["a"]):
            raise ValueError

    SynchronousTestCase().failureResultOf(Deferred.fromCoroutine(fail()), ValueError)
    assert len(locks) == 0
