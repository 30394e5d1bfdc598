from __future__ import annotations

import pytest

from tests.couchdb.server import CouchServer


@pytest.fixture
def couchdb(couchdb_server: CouchServer) -> CouchServer:
    """The shared CouchDB, without any database."""
    couchdb_server.wipe()
    return couchdb_server
