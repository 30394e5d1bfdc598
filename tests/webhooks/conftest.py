from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.webhooks.harness import discard_harnesses


@pytest.fixture(autouse=True)
def discarded_harnesses() -> Iterator[None]:
    """Keeps what a test has left waiting from continuing in another."""
    yield
    discard_harnesses()
