"""A directory over the fake CouchDB of a small cluster, on a clock."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from kazoo_bridge.directory.couchdb.cached_reader import Freshness
from kazoo_bridge.directory.couchdb.directory import CouchDirectory
from kazoo_bridge.interfaces import Principal, StorageUnavailable
from kazoo_bridge.kazoo import Event
from tests.couchdb.fake_couch import FakeCouch
from tests.couchdb.kazoo_cluster import KazooCluster
from tests.deferreds import result_of as result_of

_now = SynchronousTestCase()

#: The time at the beginning, in Unix seconds.
NOW = 1_790_000_000.0


def error_of(awaitable: Awaitable[Any]) -> str:
    """Return the text of `StorageUnavailable`, with which it has failed."""
    deferred: Any = awaitable if isinstance(awaitable, Deferred) else ensureDeferred(awaitable)  # type: ignore[arg-type]
    return str(_now.failureResultOf(deferred, StorageUnavailable).value)


class DirectoryHarness:
    """The parts. Secrets are new for 5 seconds and usable for 600; requests time out after 10."""

    def __init__(self, *, started: bool = True) -> None:
        self.clock = Clock()
        self.clock.rightNow = NOW
        self.couch = FakeCouch()
        self.cluster = KazooCluster(self.couch, self.clock.seconds)
        self.cluster.populate()
        client = self.couch.client(self.clock, timeout=10)
        self.directory = CouchDirectory(self.clock, client, Freshness(new=5, usable=600))
        if started:
            self.start()

    def start(self) -> None:
        """Load, and follow."""
        result_of(self.directory.load())
        self.directory.startService()
        self.couch.flush()

    def stop(self) -> None:
        """Stop, and check that nothing is left."""
        result_of(self.directory.stopService())
        assert self.clock.getDelayedCalls() == []

    def principal(self, token: str) -> Principal | None:
        """Authenticate; the answer must come at once."""
        return result_of(self.directory.authenticate(token))

    def refused(self, token: str) -> bool:
        """Return whether the token is refused."""
        return self.principal(token) is None

    def advance(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass, with heartbeats of CouchDB unless it is away."""
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
            if not self.couch.away:
                self.couch.heartbeat()
            self.couch.flush()

    def go_away(self) -> None:
        """Let CouchDB accept no connection, and close all it has."""
        self.couch.away = True
        self.couch.drop_streams()

    def announce(self, database: str, document_id: str) -> None:
        """Bring the message of KAZOO that says that a document has changed."""
        body = {"Database": database.replace("/", "%2F"), "ID": document_id, "Event-Name": "doc_edited"}
        self.directory.on_configuration_event(Event("configuration", "doc_edited.x.user.x", body, b""))
