"""Which arguments the configuration means, which are left out first, and the policy with the same effect."""

from __future__ import annotations

import shlex

from kazoo_bridge.bus.amqp.queue_arguments import QueueArguments, durable_queue_arguments
from kazoo_bridge.config import Amqp


def test_by_default_the_queue_is_a_bounded_quorum_queue() -> None:
    assert durable_queue_arguments(Amqp()) == {
        "x-queue-type": "quorum",
        "x-delivery-limit": 1_000_000_000,
        "x-max-length-bytes": 1024**3,
        "x-overflow": "drop-head",
        "x-message-ttl": 259_200_000,
    }


def test_zero_means_no_bound() -> None:
    assert durable_queue_arguments(Amqp(queue_type="classic", queue_max_bytes=0, queue_max_age_s=0)) == {}


def test_nothing_is_left_out_of_nothing() -> None:
    assert not QueueArguments({}).simplify()


def test_a_classic_queue_loses_its_bounds_last() -> None:
    arguments = QueueArguments({"x-max-length-bytes": 1, "x-message-ttl": 1})
    assert arguments.simplify()
    assert arguments.wanted == {}
    assert not arguments.simplify()


def test_the_policy_has_the_configured_bounds_and_means_this_queue_only() -> None:
    policy = QueueArguments(durable_queue_arguments(Amqp(queue_max_bytes=5, queue_max_age_s=6))).policy(
        "a.b'c"
    )
    assert policy is not None
    assert shlex.split(policy)[-2:] == [
        r"^a\.b'c$",
        '{"max-length-bytes":5,"overflow":"drop-head","message-ttl":6000}',
    ]
    assert QueueArguments({"x-queue-type": "quorum"}).policy("q") is None
