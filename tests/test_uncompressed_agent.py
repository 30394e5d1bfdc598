from __future__ import annotations

import gzip

from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.web.resource import Resource
from twisted.web.server import Request

from kazoo_bridge.uncompressed_agent import UncompressedAgent
from tests.directory.couchdb.harness import result_of

COMPRESSED = gzip.compress(b"x" * 100_000)


class Compressing(Resource):
    """Answers compressed, whatever the client accepts; `accepted` is what it does."""

    isLeaf = True
    accepted: bytes | None = None

    def render(self, request: Request) -> bytes:
        self.accepted = request.getHeader(b"Accept-Encoding")
        request.setHeader(b"Content-Encoding", b"gzip")
        request.setHeader(b"X-Other", b"kept")
        return COMPRESSED


def test_treq_neither_asks_for_compression_nor_decodes_it() -> None:
    server = Compressing()
    client = HTTPClient(UncompressedAgent(RequestTraversalAgent(server)))
    response = result_of(client.get("http://couch.example/"))
    assert server.accepted == b"identity"
    assert result_of(response.content()) == COMPRESSED
    assert response.headers.getRawHeaders("X-Other") == ["kept"]
