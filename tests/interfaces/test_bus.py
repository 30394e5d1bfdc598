from __future__ import annotations

import pytest

from kazoo_bridge.interfaces import IBus, IConsumer, Queue, Topic


def test_topics_are_values() -> None:
    topics = {Topic("callevt", "call.#"), Topic("callevt", "call.#"), Topic("conference", "call.#")}
    assert len(topics) == 2


def test_a_queue_is_temporary_and_acknowledges_unless_it_says_otherwise() -> None:
    queue = Queue()
    assert (queue.name, queue.topics, queue.durable, queue.prefetch, queue.acknowledge, queue.federated) == (
        "",
        frozenset(),
        False,
        0,
        True,
        False,
    )


def test_only_a_queue_without_a_name_is_federated() -> None:
    assert Queue(federated=True).federated
    for make in (lambda: Queue("named", federated=True), lambda: Queue(durable=True, federated=True)):
        with pytest.raises(ValueError, match="a federated queue has no name and is not durable"):
            make()


def test_every_member_is_documented() -> None:
    for interface in (IBus, IConsumer):
        assert all(member.__doc__ for _, member in interface.namesAndDescriptions())
