from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_twisted

from tests.websockets.harness import Harness


@pytest_twisted.async_yield_fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    """A node with default settings."""
    started = await Harness.start(tmp_path)
    yield started
    await started.stop()
