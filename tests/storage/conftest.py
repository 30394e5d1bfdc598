from pathlib import Path

import pytest

pytest.register_assert_rewrite("store_suite", "attempt_suite", "delivery_suite")


@pytest.fixture
def storage_uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/bridge.sqlite3"
