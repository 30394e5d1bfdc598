from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from kazoo_bridge.account_moves import moved_away
from kazoo_bridge.interfaces import StorageUnavailable
from tests.webhooks.fakes import FakeDirectory


@pytest_twisted.ensureDeferred
async def test_accounts_that_are_elsewhere_have_moved() -> None:
    directory: Any = FakeDirectory({"child": ("parent", "top"), "moved": ("other", "top"), "other": ("top",)})
    accounts = ["child", "moved", "parent", "deleted", None]
    assert await moved_away(directory, accounts, "parent") == {"moved"}
    assert await moved_away(directory, accounts, "top") == frozenset()


@pytest_twisted.ensureDeferred
async def test_accounts_that_are_not_in_memory_are_read() -> None:
    directory: Any = FakeDirectory({}, fetchable={"moved": ("other",)})
    assert await moved_away(directory, ["moved"], "parent") == {"moved"}


@pytest_twisted.ensureDeferred
async def test_a_directory_that_does_not_answer() -> None:
    directory: Any = FakeDirectory({}, down=True)
    with pytest.raises(StorageUnavailable):
        await moved_away(directory, ["unknown"], "parent")
