from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.interfaces import IBus, Topic
from kazoo_bridge.kazoo import Event
from kazoo_bridge.node.directory_watch import DirectoryWatch

TOPIC = Topic("configuration", "doc_edited.*.user.*")


class FollowingDirectory(BaseDirectory):
    """Counts what it hears; each message may have ended rights."""

    def __init__(self, topics: frozenset[Topic]) -> None:
        self.topics = topics
        self.heard: list[Event] = []
        self.missed = 0
        self.revision = 0

    @property
    def rights_revision(self) -> int:
        return self.revision

    @property
    def configuration_topics(self) -> frozenset[Topic]:
        return self.topics

    def on_configuration_event(self, event: Event) -> None:
        self.heard.append(event)
        self.revision += 1

    def on_configuration_missed(self) -> None:
        self.missed += 1


class Harness:
    """A watch on an embedded bus. `checks` counts how often the rights of sockets were checked."""

    def __init__(self, *topics: Topic) -> None:
        self.clock = Clock()
        self.bus = EmbeddedBus(self.clock)
        self.bus.startService()
        self.directory = FollowingDirectory(frozenset(topics))
        self.checks = 0
        self.watch = DirectoryWatch(self.clock, cast(IBus, self.bus), self.directory, self.on_rights_changed)
        self.watch.startService()
        self.clock.advance(0)

    def on_rights_changed(self) -> None:
        self.checks += 1

    def stop(self) -> None:
        stopped: Deferred[None] = self.watch.stopService()
        self.clock.advance(0)
        assert stopped.called
        assert not self.watch.running


def test_messages_reach_the_directory_and_rights_are_checked_at_once() -> None:
    harness = Harness(TOPIC)
    harness.bus.publish("configuration", "doc_edited.db.user.x", {"ID": "x"})
    harness.bus.publish("configuration", "doc_edited.db.media.x", {"ID": "y"})
    harness.clock.advance(0)
    assert [event.body["ID"] for event in harness.directory.heard] == ["x"]
    assert harness.checks == 1
    harness.stop()
    harness.bus.publish("configuration", "doc_edited.db.user.x", {"ID": "x"})
    harness.clock.advance(0)
    assert len(harness.directory.heard) == 1


def test_rights_are_checked_within_a_second_of_another_revision() -> None:
    harness = Harness()
    harness.clock.advance(5)
    assert harness.checks == 0
    harness.directory.revision += 1
    harness.clock.advance(1)
    harness.clock.advance(1)
    assert harness.checks == 1
    harness.watch.look()
    assert harness.checks == 1
    harness.stop()


class FakeConsumer:
    """A consumer whose number of starts a test sets."""

    def __init__(self) -> None:
        self.start_count = 0

    def cancel(self) -> Deferred[None]:
        return succeed(None)


def test_another_start_of_the_consumer_means_that_messages_may_have_been_missed() -> None:
    clock, directory, consumer = Clock(), FollowingDirectory(frozenset({TOPIC})), FakeConsumer()

    class FakeBus:
        def consume(self, *_: Any) -> FakeConsumer:
            return consumer

    watch = DirectoryWatch(clock, cast(IBus, FakeBus()), directory, lambda: None)
    watch.startService()
    consumer.start_count = 1
    clock.advance(1)
    assert directory.missed == 0
    consumer.start_count = 2
    clock.advance(1)
    clock.advance(1)
    assert directory.missed == 1
    assert watch.stopService().called
    assert clock.getDelayedCalls() == []
