from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def garbage_of_earlier_tests() -> Iterator[None]:
    """Keep what earlier tests have left out of the time and the logs that the attacks are judged by."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
