"""One lock for each key, such as the id of a hook, for as long as it is used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from twisted.internet.defer import DeferredLock


class KeyedLocks:
    """Locks that exist while they are held or waited for."""

    def __init__(self) -> None:
        self._locks: dict[str, DeferredLock] = {}

    def __len__(self) -> int:
        return len(self._locks)

    @asynccontextmanager
    async def hold(self, keys: Iterable[str]) -> AsyncIterator[None]:
        """Hold the locks of all these keys. Cancelling the wait gives back those that are held."""
        held: list[str] = []
        try:
            # Always in this order, so that two holders never wait for each other.
            for key in sorted(set(keys)):
                await self._locks.setdefault(key, DeferredLock()).acquire()
                held.append(key)
            yield
        finally:
            for key in held:
                self._release(key)

    def _release(self, key: str) -> None:
        lock = self._locks[key]
        if lock.waiting:
            lock.release()
        else:
            del self._locks[key]
            lock.release()
