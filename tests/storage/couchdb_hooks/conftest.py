from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.couchdb_hooks.harness import HooksHarness


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[HooksHarness]:
    harness = HooksHarness(tmp_path)
    yield harness
    harness.couch.away = harness.database.away = False
    harness.stop() if harness.source.running else harness.database.close()
