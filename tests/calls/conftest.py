from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.calls.harness import Harness, running_harness


@pytest.fixture
def harness() -> Iterator[Harness]:
    with running_harness() as harness:
        yield harness
