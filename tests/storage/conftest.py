from pathlib import Path

import pytest

from tests.storage.fixtures import (  # noqa: F401
    account_store,
    attempt_store,
    clock,
    database,
    delivery_store,
    hook_extras_store,
    hook_store,
    limit_store,
    missed_event_store,
    number_store,
    pivot_store,
    token_store,
)


@pytest.fixture
def storage_uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/bridge.sqlite3"
