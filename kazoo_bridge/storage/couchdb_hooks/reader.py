"""Reads documents by id, although one of them may be too large, or nested too deeply, to be read."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Coroutine, Iterable
from typing import Any, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from kazoo_bridge.couchdb.client import BATCH_SIZE, CouchClient, DatabaseMissing, Document
from kazoo_bridge.couchdb.http import AnswerNotJson, AnswerTooLarge
from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.text_sanitizing import text_for_display

_log = Logger()

T = TypeVar("T")

#: Batches that are read at the same time.
_PARALLEL = 4


@frozen
class TolerantReader:
    """Reads documents of `database`; what cannot be read harms no other."""

    client: CouchClient
    database: str

    async def read(self, document_ids: Collection[str]) -> dict[str, Document]:
        """Read documents by id. A document that does not exist, or cannot be read, is left out.

        For the latter there is a line in the log. Raises `StorageUnavailable` and `DatabaseMissing`.
        """
        wanted = list(document_ids)
        batches = [wanted[start : start + BATCH_SIZE] for start in range(0, len(wanted), BATCH_SIZE)]
        found: dict[str, Document] = {}
        for start in range(0, len(batches), _PARALLEL):
            for read in await gather(map(self._read_batch, batches[start : start + _PARALLEL])):
                found |= read
        return found

    async def _read_batch(self, wanted: list[str]) -> dict[str, Document]:
        try:
            return await self.client.find_many(self.database, wanted)
        except (AnswerTooLarge, AnswerNotJson) as error:
            # Of something that is no CouchDB, no answer is good: that is not the fault of documents.
            await self.client.update_sequence(self.database)
            if len(wanted) == 1:
                _log.error(
                    "document of CouchDB cannot be read database={database} id={id} reason={reason}",
                    database=self.database,
                    id=text_for_display(wanted[0]),
                    reason=error,
                )
                return {}
        middle = len(wanted) // 2
        return await self._read_batch(wanted[:middle]) | await self._read_batch(wanted[middle:])


async def gather(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all of `work` at the same time to the end; return the results, or raise the first failure."""
    outcomes: list[Any] = await DeferredList(map(Deferred.fromCoroutine, work), consumeErrors=True)
    for succeeded, failure in outcomes:
        if not succeeded:
            failure.raiseException()
    return [result for _, result in outcomes]


async def available(work: Awaitable[T]) -> T:
    """Await a request; a missing database is `StorageUnavailable`."""
    try:
        return await work
    except DatabaseMissing as error:
        raise StorageUnavailable(f"{error}; crossbar creates it when it starts") from None
