"""The client of KAZOO's CouchDB: documents, many at once, pages, attachments, and the stream of changes.

Databases are named with their slashes; `kazoo_bridge.couchdb.names` has KAZOO's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import Any

import orjson
from attrs import field, frozen
from twisted.web.iweb import IResponse

from kazoo_bridge.config.couch_uri import parse_couch_uri
from kazoo_bridge.couchdb.http import REQUEST_TIMEOUT, CouchAnswer, CouchHttp
from kazoo_bridge.couchdb.names import attachment_path, database_path, document_path, view_path
from kazoo_bridge.interfaces import StorageUnavailable

Document = dict[str, Any]

#: The position in a database's changes: text, a number, or in old clusters a list. Only CouchDB reads it.
SequenceId = str | int | list[Any]

#: Rows of a page.
PAGE_SIZE = 500

#: Documents that one request reads by id, or writes.
BATCH_SIZE = 200


class DocumentConflict(Exception):
    """The document has another revision than the one to be replaced: read it again."""


class RequestRefused(StorageUnavailable):
    """CouchDB does not accept what is to be written: it is too large, or has a text that it cannot read."""


class DatabaseMissing(Exception):
    """There is no database of that name."""


@frozen
class Row:
    """A row of a page. `doc` is the document if it was asked for and exists."""

    id: str
    key: Any = field(repr=False)
    value: Any = field(repr=False)
    doc: Document | None = field(repr=False)


@frozen
class BulkResult:
    """The result for one document of `CouchClient.bulk`.

    `rev` is its new revision; None: it was not written, and `error` is CouchDB's word, such as ``conflict``.
    """

    id: str
    rev: str | None
    error: str = ""


@frozen
class Presence:
    """Which documents a database has, and which it had until they were deleted; others it never had."""

    existing: frozenset[str]
    deleted: frozenset[str]


class CouchClient:
    """Reads and writes documents.

    Every method raises `StorageUnavailable` when CouchDB does not answer as it should.
    """

    def __init__(self, http: CouchHttp) -> None:
        self._http = http

    @classmethod
    def from_uri(cls, reactor: Any, uri: str, *, timeout: float = REQUEST_TIMEOUT) -> CouchClient:
        """Make a client with its own pool of connections.

        `uri`: ``http://user:password@host:15984``. `timeout`: seconds for one request. Raises ValueError.
        """
        return cls(CouchHttp.from_uri(reactor, parse_couch_uri(uri), timeout=timeout))

    @property
    def label(self) -> str:
        """The server in words, without credentials."""
        return self._http.label

    async def close(self) -> None:
        """Give up the requests under way, and close the connections. Further requests fail."""
        await self._http.close()

    # -- documents

    async def find(self, database: str, document_id: str) -> Document | None:
        """Read a document; None if the document or the database does not exist."""
        answer = await self._http.request("GET", document_path(database, document_id))
        return None if answer.status == 404 else _document(self._accepted(answer))

    async def find_many(self, database: str, document_ids: Collection[str]) -> dict[str, Document]:
        """Read documents by id. Those that do not exist are left out. Raises `DatabaseMissing`."""
        wanted = list(document_ids)
        found: dict[str, Document] = {}
        for start in range(0, len(wanted), BATCH_SIZE):
            answer = await self._http.request(
                "POST",
                f"{database_path(database)}/_all_docs",
                {"include_docs": "true"},
                {"keys": wanted[start : start + BATCH_SIZE]},
            )
            for row in _rows(self._accepted(answer, database)):
                if row.doc is not None:
                    found[row.id] = row.doc
        return found

    async def presence(self, database: str, document_ids: Collection[str]) -> Presence:
        """Return which of these documents exist, and which have been deleted. Raises `DatabaseMissing`."""
        wanted = list(document_ids)
        existing: set[str] = set()
        deleted: set[str] = set()
        for start in range(0, len(wanted), PAGE_SIZE):
            keys = wanted[start : start + PAGE_SIZE]
            path = f"{database_path(database)}/_all_docs"
            answer = await self._http.request("POST", path, body={"keys": keys})
            for row in _rows(self._accepted(answer, database)):
                gone = isinstance(row.value, dict) and row.value.get("deleted") is True
                (deleted if gone else existing).add(row.id)
        return Presence(frozenset(existing), frozenset(deleted))

    async def put(self, database: str, document: Mapping[str, Any]) -> str:
        """Write a document and return its new revision.

        `document` has its ``_id``, and the ``_rev`` that it replaces unless it is new. Raises
        `DocumentConflict` and `DatabaseMissing`.
        """
        answer = await self._http.request(
            "PUT", document_path(database, document["_id"]), body=dict(document)
        )
        return _revision(self._accepted(answer, database))

    async def delete(self, database: str, document_id: str, revision: str) -> None:
        """Delete a document of this revision; one that does not exist is deleted already.

        Raises `DocumentConflict`.
        """
        answer = await self._http.request("DELETE", document_path(database, document_id), {"rev": revision})
        if answer.status != 404:
            self._accepted(answer)

    async def bulk(self, database: str, documents: Sequence[Mapping[str, Any]]) -> list[BulkResult]:
        """Write several documents, each for itself, and return the results in their order.

        Raises `DatabaseMissing`.
        """
        results: list[BulkResult] = []
        for start in range(0, len(documents), BATCH_SIZE):
            batch = [dict(document) for document in documents[start : start + BATCH_SIZE]]
            path = f"{database_path(database)}/_bulk_docs"
            answer = self._accepted(await self._http.request("POST", path, body={"docs": batch}), database)
            if not isinstance(answer, list) or len(answer) != len(batch):
                raise _unexpected("one result for each document")
            results += [_bulk_result(one) for one in answer]
        return results

    async def attachment(self, database: str, document_id: str, name: str) -> bytes | None:
        """Read an attachment; None if it, its document or the database does not exist."""
        answer = await self._http.request("GET", attachment_path(database, document_id, name))
        if answer.status == 404:
            return None
        if answer.status != 200:
            self._accepted(answer)
        return answer.body

    # -- many documents

    async def pages(
        self,
        database: str,
        view: str | None = None,
        *,
        include_docs: bool = True,
        page_size: int = PAGE_SIZE,
        start_key: Any = None,
        options: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[list[Row]]:
        """Yield all rows of the database in pages, in the order of their keys.

        `view`: the rows of this view, ``design/view``, instead of all documents. `start_key`: begin there.
        `options`: further parameters, such as ``endkey`` or ``reduce``; their values are sent as JSON.

        Raises `DatabaseMissing`, also for a view that does not exist.
        """
        path = view_path(database, view) if view else f"{database_path(database)}/_all_docs"
        # One row more than the page: where the next one begins, even if this row is deleted meanwhile.
        query = {"limit": str(page_size + 1), "include_docs": "true" if include_docs else "false"}
        query |= {name: _json(value) for name, value in (options or {}).items()}
        if start_key is not None:
            query["startkey"] = _json(start_key)
        previous: Row | None = None
        while True:
            rows = _rows(self._accepted(await self._http.request("GET", path, query), database))
            page, following = rows[:page_size], rows[page_size:]
            if page:
                yield page
            if not following:
                return
            begin = following[0]
            if previous is not None and (begin.key, begin.id) == (previous.key, previous.id):
                raise _unexpected("another page after each page")
            previous = begin
            query |= {"startkey": _json(begin.key), "startkey_docid": begin.id}

    # -- databases

    async def create_database(self, database: str) -> bool:
        """Create a database; returns False if it exists already."""
        answer = await self._http.request("PUT", database_path(database))
        if answer.status == 412:
            return False
        self._accepted(answer)
        return True

    async def databases(self, beginning: str) -> list[str]:
        """List the databases whose names begin like this."""
        query = {"startkey": _json(beginning), "endkey": _json(f"{beginning}\ufff0")}
        names = self._accepted(await self._http.request("GET", "/_all_dbs", query))
        if not isinstance(names, list):
            raise _unexpected("a list of databases")
        return sorted(name for name in names if isinstance(name, str) and name.startswith(beginning))

    async def count(self, database: str) -> int:
        """Return the number of documents of a database. Raises `DatabaseMissing`."""
        answer = self._accepted(await self._http.request("GET", database_path(database)), database)
        count = answer.get("doc_count") if isinstance(answer, dict) else None
        return count if isinstance(count, int) else 0

    async def update_sequence(self, database: str) -> SequenceId:
        """Return the present end of the database's changes. Raises `DatabaseMissing`."""
        answer = self._accepted(await self._http.request("GET", database_path(database)), database)
        sequence = answer.get("update_seq") if isinstance(answer, dict) else None
        if not isinstance(sequence, str | int | list):
            raise _unexpected("an update_seq")
        return sequence

    async def open_changes(self, database: str, since: SequenceId, heartbeat: float) -> IResponse:
        """Open the stream of changes after `since`, with documents; an empty line every `heartbeat` seconds.

        The caller reads the body of the response; `kazoo_bridge.couchdb.changes` does.
        """
        query = {
            "feed": "continuous",
            "include_docs": "true",
            "heartbeat": str(int(heartbeat * 1000)),
            "since": since if isinstance(since, str) else _json(since),
        }
        path = f"{database_path(database)}/_changes"
        # Some servers send the head of the answer with the first line, which may be a heartbeat.
        return await self._http.open(path, query, more_time=heartbeat)

    async def ping(self) -> None:
        """Ask for the server's greeting, to see that it answers."""
        self._accepted(await self._http.request("GET", "/"))

    def _accepted(self, answer: CouchAnswer, database: str = "") -> Any:
        """Return the JSON of a good answer, or raise the error that it stands for."""
        if answer.status == 409:
            raise DocumentConflict(answer.reason)
        if answer.status == 404:
            raise DatabaseMissing(f"{self.label} has no database {database!r}")
        if answer.status in (400, 413):
            raise RequestRefused(f"{self.label}: status {answer.status} {answer.reason}".rstrip())
        if not 200 <= answer.status < 300:
            raise StorageUnavailable(f"{self.label}: status {answer.status} {answer.reason}".rstrip())
        return answer.json()


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _unexpected(expected: str) -> StorageUnavailable:
    return StorageUnavailable(f"CouchDB answered with something else than {expected}")


def _document(value: Any) -> Document:
    if not isinstance(value, dict):
        raise _unexpected("a document")
    return value


def _revision(value: Any) -> str:
    revision = value.get("rev") if isinstance(value, dict) else None
    if not isinstance(revision, str):
        raise _unexpected("the new revision")
    return revision


def _bulk_result(value: Any) -> BulkResult:
    if not isinstance(value, dict):
        raise _unexpected("a result for each document")
    revision, error = value.get("rev"), value.get("error")
    written = isinstance(revision, str) and error is None
    return BulkResult(str(value.get("id")), revision if written else None, "" if written else str(error))


def _rows(answer: Any) -> list[Row]:
    rows = answer.get("rows") if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        raise _unexpected("rows")
    return [
        Row(
            row["id"],
            row.get("key"),
            row.get("value"),
            doc if isinstance(doc := row.get("doc"), dict) else None,
        )
        for row in rows
        # A row without an id stands for a key that does not exist.
        if isinstance(row, dict) and isinstance(row.get("id"), str)
    ]
