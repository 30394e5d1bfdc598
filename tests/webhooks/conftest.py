from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.webhooks.doors import Door, by_begin, by_send
from tests.webhooks.harness import discard_harnesses


@pytest.fixture(autouse=True)
def discarded_harnesses() -> Iterator[None]:
    """Keeps what a test has left waiting from continuing in another."""
    yield
    discard_harnesses()


@pytest.fixture(params=[by_send, by_begin], ids=["send", "begin"])
def door(request: pytest.FixtureRequest) -> Door:
    """Each way to send a request."""
    chosen: Door = request.param
    return chosen
