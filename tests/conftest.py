from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.rabbitmq import RabbitNode


def _running_node() -> Iterator[RabbitNode]:
    node = RabbitNode()
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="session")
def rabbit() -> Iterator[RabbitNode]:
    """A private RabbitMQ node, started with the first test that wants it."""
    yield from _running_node()


@pytest.fixture
def vhost_uri(rabbit: RabbitNode) -> str:
    """The URI of a fresh virtual host on the shared node."""
    return rabbit.fresh_vhost()


@pytest.fixture
def disposable_rabbit() -> Iterator[RabbitNode]:
    """A node of the test's own, to be killed."""
    yield from _running_node()
