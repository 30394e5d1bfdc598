"""A CouchDB in this process, which answers at once, later, wrongly or not at all, as a test prescribes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IReactorTime
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from kazoo_bridge.config.couch_uri import CouchUri
from kazoo_bridge.couchdb.client import CouchClient
from kazoo_bridge.couchdb.http import CouchHttp

#: What a test can answer instead: a status and a body, or None for the usual answer.
Answer = tuple[int, bytes] | None


@implementer(IAgent)
class FakeCouch(Resource):
    """Databases in memory.

    `asked` are the requests so far, as ``GET accounts/id``. `away`: no connection is made. `frozen`: no
    request is answered. `answer_instead` may answer a request itself.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.databases: dict[str, dict[str, dict[str, Any]]] = {}
        self.attachments: dict[tuple[str, str, str], bytes] = {}
        #: Views by their names, ``design/view``; they return the rows for a database and a query.
        self.views: dict[str, Callable[[str, dict[str, str]], list[dict[str, Any]]]] = {}
        self.asked: list[str] = []
        self.headers: list[Headers | None] = []
        self.away = False
        self.frozen = False
        self.answer_instead: Callable[[str], Answer] = lambda _: None
        self._log: dict[str, list[str]] = {}
        self._hold: str | None = None
        self._held: list[Request] = []
        self._streams: list[tuple[str, Request]] = []
        self._agent = RequestTraversalAgent(self)
        self._flushing = self._flush_again = False

    def client(self, clock: IReactorTime, timeout: float = 15.0, **options: Any) -> CouchClient:
        """Make a client of this CouchDB."""
        uri = CouchUri("http://couch.example:15984", "kazoo", "s3cret")
        return CouchClient(CouchHttp(self, clock, uri, timeout=timeout, **options))

    @property
    def open_streams(self) -> int:
        """The number of open streams of changes."""
        return len(self._streams)

    def count(self, beginning: str) -> int:
        """Count the requests so far that begin like this."""
        return sum(one.startswith(beginning) for one in self.asked)

    def save(self, database: str, document: dict[str, Any]) -> None:
        """Write a document, whatever its present revision, and send the change to the open streams."""
        documents = self.databases.setdefault(database, {})
        now = documents.get(document["_id"], {}).get("_rev", "0-")
        revision = f"{int(now.split('-')[0]) + 1}-{'0' * 32}"
        documents[document["_id"]] = document | {"_rev": revision}
        self._changed(database, document["_id"])

    def create(self, database: str) -> None:
        """Create a database."""
        self.databases.setdefault(database, {})

    def update(self, database: str, document_id: str, **changes: Any) -> None:
        """Change keys of a document."""
        self.save(database, self.databases[database][document_id] | changes)

    def attach(
        self, database: str, document_id: str, name: str, content: bytes, content_type: str = ""
    ) -> None:
        """Add an attachment to a document."""
        self.attachments[database, document_id, name] = content

    def delete(self, database: str, document_id: str) -> None:
        """Delete a document."""
        del self.databases[database][document_id]
        self._changed(database, document_id)

    def hold(self, beginning: str) -> None:
        """Answer no request that begins like this before `release`."""
        self._hold = beginning

    def release(self, status: int | None = None, body: bytes = b"") -> None:
        """Answer what is held, with this status and body or else as usual; hold nothing more."""
        held, self._held, self._hold = self._held, [], None
        for request in held:
            if status is not None:
                request.setResponseCode(status)
            request.write(self._respond(request) if status is None else body)
            request.finish()
        self.flush()

    def heartbeat(self) -> None:
        """Send an empty line to every open stream."""
        self.send(b"\n")

    def send(self, data: bytes) -> None:
        """Send bytes to every open stream."""
        for _, request in self._streams:
            request.write(data)
        self.flush()

    def drop_streams(self) -> None:
        """Close the connections of all open streams."""
        streams, self._streams = self._streams, []
        for _, request in streams:
            request.loseConnection()
        self.flush()

    def flush(self) -> None:
        """Carry what was written to the connections, in both directions."""
        # What is carried may make its receiver send a request, and the agent's flush forgets connections when
        # it is called by itself.
        self._flush_again = True
        if self._flushing:
            return
        self._flushing = True
        try:
            while self._flush_again:
                self._flush_again = False
                self._agent.flush()
        finally:
            self._flushing = False

    # -- IAgent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        self.headers.append(headers)
        if self.away:
            return fail(ConnectionRefusedError())
        if self.frozen:
            return Deferred()
        answer: Deferred[IResponse] = self._agent.request(method, uri, headers, bodyProducer)
        self.flush()
        return answer

    # -- the server

    def render(self, request: Request) -> bytes | int:
        method = request.method.decode()
        parts = [part.decode() for part in request.postpath or ()]
        asked = f"{method} {'/'.join(parts)}"
        self.asked.append(asked)
        instead = self.answer_instead(asked)
        if instead is not None:
            request.setResponseCode(instead[0])
            return instead[1]
        if self._hold is not None and asked.startswith(self._hold):
            self._held.append(request)
            return NOT_DONE_YET
        return self._open_stream(request, parts[0]) if parts[-1] == "_changes" else self._respond(request)

    def _respond(self, request: Request) -> bytes:
        parts, query = [part.decode() for part in request.postpath or ()], _query(request)
        content = request.content.read() if request.content is not None else b""
        body = json.loads(content) if content else None
        status, answer = self._answer(request.method.decode(), parts, query, body)
        request.setResponseCode(status)
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    def _answer(self, method: str, parts: list[str], query: dict[str, str], body: Any) -> tuple[int, Any]:
        database = parts[0]
        if not database:
            return 200, {"couchdb": "Welcome"}
        if len(parts) == 1 and method == "PUT":
            return (412, {}) if database in self.databases else (201, self.databases.setdefault(database, {}))
        if database not in self.databases:
            return 404, {"error": "not_found", "reason": "Database does not exist."}
        if len(parts) == 1:
            return 200, {"update_seq": len(self._log.get(database, ()))}
        if parts[1] == "_bulk_docs":
            return 201, [self._bulk_write(database, document) for document in body["docs"]]
        if parts[1] == "_all_docs":
            return 200, {"rows": self._rows(database, query, body)}
        if parts[1] == "_design":
            view = self.views.get(f"{parts[2]}/{parts[4]}")
            return (404, {"error": "not_found"}) if view is None else (200, {"rows": view(database, query)})
        if len(parts) == 3:
            attachment = self.attachments.get((database, parts[1], parts[2]))
            return (404, {"error": "not_found"}) if attachment is None else (200, attachment)
        return self._answer_about_document(method, database, parts[1], query, body)

    def _answer_about_document(
        self, method: str, database: str, document_id: str, query: dict[str, str], body: Any
    ) -> tuple[int, Any]:
        if method == "PUT":
            return self._put(database, document_id, body)
        if method == "DELETE":
            return self._delete(database, document_id, query)
        document = self.databases[database].get(document_id)
        return (404, {"error": "not_found", "reason": "missing"}) if document is None else (200, document)

    def _put(self, database: str, document_id: str, body: Any) -> tuple[int, Any]:
        now = self.databases[database].get(document_id, {}).get("_rev")
        if body.get("_rev") != now:
            return 409, {"error": "conflict", "reason": "Document update conflict."}
        self.save(database, body)
        return 201, {"ok": True, "rev": self.databases[database][document_id]["_rev"]}

    def _delete(self, database: str, document_id: str, query: dict[str, str]) -> tuple[int, Any]:
        document = self.databases[database].get(document_id)
        if document is None:
            return 404, {"error": "not_found", "reason": "missing"}
        if document["_rev"] != query.get("rev"):
            return 409, {"error": "conflict", "reason": "Document update conflict."}
        self.delete(database, document_id)
        return 200, {"ok": True}

    def _bulk_write(self, database: str, document: dict[str, Any]) -> dict[str, Any]:
        document_id = document["_id"]
        if document.get("_deleted") and document_id in self.databases[database]:
            self.delete(database, document_id)
            return {"id": document_id, "rev": f"9-{'0' * 32}"}
        _, answer = self._put(database, document_id, document)
        return {"id": document_id, **answer}

    def _rows(self, database: str, query: dict[str, str], body: Any) -> list[dict[str, Any]]:
        documents = self.databases[database]
        if body is not None:
            keys = body["keys"]
        else:
            start = json.loads(query.get("startkey", '""'))
            end = json.loads(query.get("endkey", '"\uffff"'))
            keys = [key for key in sorted(documents) if start <= key <= end][: int(query["limit"])]
        rows: list[dict[str, Any]] = []
        for key in keys:
            if key in documents:
                row = {"id": key, "key": key, "value": {"rev": documents[key].get("_rev")}}
            elif key in self._log.get(database, ()):
                row = {"id": key, "key": key, "value": {"rev": f"9-{'0' * 32}", "deleted": True}}
            else:
                rows.append({"key": key, "error": "not_found"})
                continue
            rows.append(row | ({"doc": documents.get(key)} if query.get("include_docs") == "true" else {}))
        return rows

    def _open_stream(self, request: Request, database: str) -> int:
        stream, query = (database, request), _query(request)
        self._streams.append(stream)
        request.notifyFinish().addErrback(lambda _: self._closed(stream))
        request.write(b"\n")
        for sequence in range(int(query["since"]), len(self._log.get(database, ()))):
            request.write(self._line(database, sequence))
        return NOT_DONE_YET

    def _closed(self, stream: tuple[str, Request]) -> None:
        if stream in self._streams:
            self._streams.remove(stream)

    def _changed(self, database: str, document_id: str) -> None:
        log = self._log.setdefault(database, [])
        log.append(document_id)
        for name, request in self._streams:
            if name == database:
                request.write(self._line(database, len(log) - 1))
        self.flush()

    def _line(self, database: str, sequence: int) -> bytes:
        document_id = self._log[database][sequence]
        document = self.databases[database].get(document_id)
        change: dict[str, Any] = {"seq": sequence + 1, "id": document_id, "changes": []}
        change |= {"deleted": True} if document is None else {"doc": document}
        return json.dumps(change).encode() + b"\n"


def _query(request: Request) -> dict[str, str]:
    return {key.decode(): values[0].decode() for key, values in (request.args or {}).items()}
