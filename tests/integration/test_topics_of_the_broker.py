"""The topic rules of the embedded bus are those of RabbitMQ: compared with RabbitMQ."""

from __future__ import annotations

import random

import pika
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kazoo_bridge.topics import TopicTable, matches
from tests.integration.rabbitmq import RabbitNode

words = st.sampled_from(["", "a", "b", "*", "#", "ø"])
patterns = st.lists(words, max_size=5).map(".".join)
keys = st.lists(st.sampled_from(["", "a", "b", "c", "ø", "*", "#"]), max_size=5).map(".".join)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(patterns, min_size=5, max_size=12, unique=True),
    st.lists(keys, min_size=10, max_size=30, unique=True),
)
def test_topic_matching_agrees_with_rabbitmq(rabbit: RabbitNode, bound: list[str], sent: list[str]) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(rabbit.uri))
    channel = connection.channel()
    channel.exchange_declare("topics", "topic", auto_delete=True)
    channel.confirm_delivery()
    queues = {pattern: channel.queue_declare("", exclusive=True).method.queue for pattern in bound}
    for pattern, queue in queues.items():
        channel.queue_bind(queue, "topics", pattern)
    for key in sent:
        channel.basic_publish("topics", key, b"")
    received: dict[str, set[str]] = {pattern: set() for pattern in bound}
    for pattern, queue in queues.items():
        while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
            received[pattern].add(got[0].routing_key)
    connection.close()
    table: TopicTable[str] = TopicTable()
    for pattern in bound:
        table.add(pattern, pattern)
    for key in sent:
        by_rabbitmq = {pattern for pattern in bound if key in received[pattern]}
        assert {pattern for pattern in bound if matches(pattern, key)} == by_rabbitmq
        assert set(table.match(key)) == by_rabbitmq


def test_many_random_keys_reach_the_queues_of_the_table(vhost_uri: str) -> None:
    """Each pattern is bound to its own queue; random keys must reach the queues that the table finds."""
    rng = random.Random(20261)
    words = ["", "a", "b", "ab", "*", "#", "größe"]

    def patterns_or_keys(number: int, words: list[str]) -> list[str]:
        made = {".".join(rng.choices(words, k=length)) for length in range(6) for _ in range(number)}
        return sorted(made)

    patterns = patterns_or_keys(40, [*words, "*", "#"])
    keys = patterns_or_keys(80, words)
    table: TopicTable[str] = TopicTable()
    reached: dict[str, set[str]] = {key: set() for key in keys}
    with pika.BlockingConnection(pika.URLParameters(vhost_uri)) as connection:
        channel = connection.channel()
        channel.exchange_declare("topics", "topic", auto_delete=True)
        for pattern in patterns:
            queue = f"q {pattern}"
            channel.queue_declare(queue, exclusive=True)
            channel.queue_bind(queue, "topics", pattern)
            table.add(pattern, pattern)
        channel.confirm_delivery()
        for key in keys:
            channel.basic_publish("topics", key, key.encode())
        for pattern in patterns:
            while (got := channel.basic_get(f"q {pattern}", auto_ack=True))[0] is not None:
                reached[got[2].decode()].add(pattern)
    assert len(patterns) > 100
    assert len(keys) > 200
    assert reached == {key: set(table.match(key)) for key in keys}
