from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_twisted
from twisted.internet.defer import Deferred

from kazoo_bridge.node.node import Node
from tests.node.harness import make_node


@pytest_twisted.async_yield_fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A started node."""
    node = make_node(tmp_path)
    await node.start()
    yield node
    await node.stop(Deferred())
