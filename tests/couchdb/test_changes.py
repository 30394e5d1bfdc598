from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs, formatEvent

from kazoo_bridge.couchdb.changes import Change, ChangesFollower, LineSplitter
from kazoo_bridge.couchdb.client import CouchClient
from kazoo_bridge.interfaces import StorageUnavailable
from tests.couchdb.fake_couch import FakeCouch
from tests.couchdb.server import CouchServer


class Harness:
    """A follower of the database ``accounts`` of a fake CouchDB.

    `heard` are the ids that it has brought, `-` before those of deleted documents. `answer` is what its
    handler returns; an exception is raised.
    """

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.couch = FakeCouch()
        self.couch.databases["accounts"] = {}
        self.heard: list[str] = []
        self.answer: Deferred[None] | Exception | None = None
        client = self.couch.client(self.clock)
        self.follower = ChangesFollower(
            self.clock, client, "accounts", self.on_changes, heartbeat=10, **options
        )

    def start(self) -> Harness:
        self.follower.startService()
        return self

    def on_changes(self, changes: Sequence[Change]) -> Deferred[None] | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        self.heard += [f"-{change.id}" if change.deleted else change.id for change in changes]
        return self.answer

    def save(self, document_id: str) -> None:
        self.couch.save("accounts", {"_id": document_id})

    def advance(self, seconds: float, step: float = 1.0) -> None:
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
            self.couch.flush()

    def stop(self) -> None:
        stopped = self.follower.stopService()
        assert stopped is None or stopped.called
        assert self.clock.getDelayedCalls() == []


def test_changes_are_brought_in_their_order() -> None:
    harness = Harness()
    harness.save("a")
    harness.start()
    assert harness.follower.connected
    harness.save("b")
    harness.couch.delete("accounts", "a")
    assert harness.heard == ["a", "b", "-a"]
    harness.stop()
    assert not harness.follower.connected


def test_the_stream_is_not_asked_for_compressed() -> None:
    harness = Harness().start()
    headers = harness.couch.headers[-1]
    assert headers is not None
    assert headers.getRawHeaders(b"accept-encoding") is None
    assert headers.getRawHeaders(b"authorization") is not None
    harness.stop()


def test_a_change_has_its_document() -> None:
    changes: list[Change] = []
    harness = Harness()
    harness.follower._on_changes = changes.extend
    harness.start().save("a")
    assert changes == [Change("a", {"_id": "a", "_rev": f"1-{'0' * 32}"})]
    harness.stop()


def test_after_an_interruption_it_goes_on_after_the_last_change() -> None:
    harness = Harness().start()
    harness.save("a")
    harness.couch.away = True
    harness.couch.drop_streams()
    assert not harness.follower.connected
    harness.save("b")
    with capturedLogs() as logs:
        harness.advance(60)
        assert harness.heard == ["a"]
        harness.couch.away = False
        harness.advance(20)
    assert harness.heard == ["a", "b"]
    assert [formatEvent(event).partition(" reason=")[0] for event in logs] == [
        "changes of CouchDB interrupted, trying again database=accounts",
        "changes of CouchDB followed again database=accounts",
    ]
    harness.stop()


def test_a_short_interruption_is_not_logged() -> None:
    harness = Harness().start()
    with capturedLogs() as logs:
        harness.couch.drop_streams()
        harness.advance(3, 0.25)
    assert harness.follower.connected
    assert logs == []
    harness.stop()


def test_a_database_that_does_not_exist_yet_is_followed_when_it_does() -> None:
    harness = Harness()
    del harness.couch.databases["accounts"]
    harness.couch.answer_instead = lambda _: (404, b'{"reason": "no_db_file"}')
    harness.start()
    harness.advance(30)
    harness.couch.answer_instead = lambda _: None
    harness.save("a")
    harness.advance(20)
    assert harness.heard == ["a"]
    harness.stop()


def test_a_silent_connection_is_replaced() -> None:
    harness = Harness().start()
    for _ in range(5):
        harness.advance(10)
        harness.couch.heartbeat()
    assert harness.couch.count("GET accounts/_changes") == 1
    assert harness.follower.last_heard == 50
    harness.advance(29)
    assert harness.couch.count("GET accounts/_changes") == 1
    harness.advance(3)
    assert harness.couch.count("GET accounts/_changes") == 2
    assert harness.couch.open_streams == 1
    harness.stop()


def test_a_server_that_does_not_answer_is_asked_again() -> None:
    harness = Harness()
    harness.couch.frozen = True
    harness.start()
    harness.advance(20)
    harness.couch.frozen = False
    harness.save("a")
    harness.advance(20)
    assert harness.heard == ["a"]
    harness.stop()


@pytest.mark.parametrize("frozen", [False, True])
def test_it_stops_at_any_time(frozen: bool) -> None:
    harness = Harness()
    harness.couch.frozen = frozen
    harness.start()
    harness.stop()
    harness.couch.away = True
    harness.start()
    harness.stop()
    assert harness.follower.stopService() is None


def test_the_connection_waits_for_a_slow_handler() -> None:
    harness = Harness()
    slow: Deferred[None] = Deferred()
    harness.answer = slow
    harness.start().save("a")
    harness.save("b")
    assert harness.heard == ["a"]
    harness.advance(200)
    harness.answer = None
    slow.callback(None)
    harness.couch.heartbeat()
    assert harness.heard == ["a", "b"]
    harness.stop()


def test_it_stops_while_a_handler_works() -> None:
    harness = Harness()
    harness.answer = Deferred()
    harness.start().save("a")
    harness.stop()


def test_what_a_handler_could_not_store_is_brought_again() -> None:
    harness = Harness()
    harness.answer = StorageUnavailable("away")
    harness.start().save("a")
    harness.advance(2)
    assert harness.heard == []
    harness.answer = None
    harness.advance(20)
    assert harness.heard == ["a"]
    harness.stop()


def test_a_handler_that_always_fails_is_a_problem_and_asked_ever_more_seldom() -> None:
    harness = Harness()
    harness.answer = StorageUnavailable("away")
    with capturedLogs() as logs:
        harness.start().save("a")
        assert harness.follower.problem() is None
        harness.advance(60)
        assert harness.follower.problem() == "its changes cannot be applied: away"
        early = harness.couch.count("GET accounts/_changes")
        harness.advance(300)
        late = harness.couch.count("GET accounts/_changes") - early
        assert early < 15
        assert 300 / 20 < late < 300 / 10
        harness.answer = None
        harness.advance(20)
        assert harness.heard == ["a"]
        assert harness.follower.problem() is None
    assert [formatEvent(event) for event in logs] == [
        "changes of CouchDB cannot be applied, trying again database=accounts reason=away",
        "changes of CouchDB applied again database=accounts",
    ]
    requests = harness.couch.count("GET accounts/_changes")
    harness.couch.drop_streams()
    harness.advance(2)
    assert harness.couch.count("GET accounts/_changes") == requests + 1
    harness.stop()


def test_a_handler_that_fails_for_a_moment_is_no_problem() -> None:
    harness = Harness()
    harness.answer = StorageUnavailable("away")
    with capturedLogs() as logs:
        harness.start().save("a")
        harness.answer = None
        harness.advance(2)
    assert (harness.heard, harness.follower.problem(), logs) == (["a"], None, [])
    harness.stop()


def test_a_stream_that_is_away_is_a_problem_after_a_while() -> None:
    harness = Harness().start()
    harness.couch.away = True
    harness.couch.drop_streams()
    harness.advance(3)
    assert harness.follower.problem() is None
    harness.advance(1)
    assert str(harness.follower.problem()).startswith("its changes are not known: ")
    harness.stop()


def test_a_fault_of_a_handler_does_not_stop_the_stream() -> None:
    harness = Harness()
    harness.answer = RuntimeError("fault")
    with capturedLogs() as logs:
        harness.start().save("a")
    assert "not applied" in formatEvent(logs[0])
    harness.answer = None
    harness.save("b")
    assert harness.heard == ["b"]
    harness.stop()


@pytest.mark.parametrize(
    "line", [b"no JSON", b"[]", b'{"id": "x"}', b'{"seq": null, "id": "x"}', b'{"seq": 7}', b"\xff\xfe"]
)
def test_a_line_that_is_no_change_is_left_out(line: bytes) -> None:
    harness = Harness().start()
    with capturedLogs() as logs:
        harness.couch.send(line + b"\n")
    assert "not understood" in formatEvent(logs[0])
    harness.save("a")
    assert harness.heard == ["a"]
    harness.stop()


def test_the_last_line_of_a_stream_moves_the_position() -> None:
    harness = Harness().start()
    harness.couch.send(b'{"last_seq": "7-xyz", "pending": 0}\n')
    assert harness.follower.since == "7-xyz"
    harness.stop()


def test_a_line_that_is_too_large_is_left_out() -> None:
    harness = Harness(max_line_bytes=1000).start()
    huge = {"seq": 1, "id": "huge", "doc": {"x": "y" * 2000}}
    with capturedLogs() as logs:
        harness.couch.send(json.dumps(huge).encode() + b"\n")
    assert "too large" in formatEvent(logs[0])
    harness.save("a")
    assert harness.heard == ["a"]
    harness.stop()


def test_lines_are_put_together_from_any_pieces() -> None:
    whole = b'{"a": 1}\n\n{"b": 2}\r\n\n{"c": 3}'
    for size in (1, 2, 3, 7, 100):
        splitter = LineSplitter(100)
        lines = [
            line
            for start in range(0, len(whole), size)
            for line in splitter.feed(whole[start : start + size])
        ]
        assert lines == [b'{"a": 1}', b'{"b": 2}']
        assert splitter.feed(b"\n") == [b'{"c": 3}']


def test_an_endless_line_is_counted_and_not_kept() -> None:
    splitter = LineSplitter(100)
    for _ in range(10):
        assert splitter.feed(b"x" * 60) == []
    assert splitter.skipped == 600
    assert splitter.feed(b"y\nz\n") == [b"z"]
    assert splitter.skipped == 0


class TestWithAServer:
    @pytest_twisted.async_yield_fixture
    async def client(self, couchdb: CouchServer) -> AsyncIterator[CouchClient]:
        client = CouchClient.from_uri(reactor, couchdb.uri)
        yield client
        await client.close()

    @pytest_twisted.ensureDeferred
    async def test_it_follows_from_a_position(self, client: CouchClient, couchdb: CouchServer) -> None:
        heard: list[str] = []
        wanted: DeferredQueue[str] = DeferredQueue()

        def on_changes(changes: Sequence[Change]) -> None:
            for change in changes:
                wanted.put(f"-{change.id}" if change.deleted else change.id)

        async def hear(document_id: str) -> None:
            while not heard or heard[-1] != document_id:
                heard.append(await wanted.get().addTimeout(10, reactor))

        couchdb.save("accounts", {"_id": "before"})
        follower = ChangesFollower(reactor, client, "accounts", on_changes)
        follower.since = await client.update_sequence("accounts")
        couchdb.save("accounts", {"_id": "a", "name": "first"})
        follower.startService()
        try:
            await hear("a")
            await deferToThread(couchdb.save, "accounts", {"_id": "b"})
            await hear("b")
            await deferToThread(couchdb.delete, "accounts", "a")
            await hear("-a")
        finally:
            stopped = follower.stopService()
            assert stopped is not None
            await stopped
        assert heard == ["a", "b", "-a"]
