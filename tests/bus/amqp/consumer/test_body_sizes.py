"""The mean size of messages follows recent ones."""

from __future__ import annotations

from kazoo_bridge.bus.amqp.consumer.body_sizes import BodySizes


def test_the_mean_of_none_is_zero() -> None:
    assert BodySizes().mean == 0


def test_few_messages_are_not_forgotten() -> None:
    sizes = BodySizes(10, 1000)
    sizes.forget_half()
    assert sizes == BodySizes(10, 1000)


def test_recent_messages_count_more() -> None:
    sizes = BodySizes(2000, 2000 * 100)
    sizes.forget_half()
    assert sizes.mean == 100
    sizes.count += 1000
    sizes.total += 1000 * 300
    assert sizes.mean == 200
