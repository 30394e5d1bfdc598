"""What nodes of several modules are tested with."""

from collections.abc import Iterator

import pytest

from tests.couchdb.kazoo_cluster import KazooCluster
from tests.couchdb.server import CouchServer
from tests.integration.web_receiver import WebReceiver


@pytest.fixture
def receiver() -> Iterator[WebReceiver]:
    """A web server that webhooks are sent to."""
    receiver = WebReceiver()
    yield receiver
    receiver.stop()


@pytest.fixture(scope="module")
def couchdb(couchdb_server: CouchServer) -> CouchServer:
    """The shared CouchDB, without any database."""
    couchdb_server.wipe()
    return couchdb_server


@pytest.fixture(scope="module")
def cluster(couchdb: CouchServer) -> KazooCluster:
    """The databases of a KAZOO in CouchDB."""
    cluster = KazooCluster(couchdb)
    cluster.populate()
    return cluster
