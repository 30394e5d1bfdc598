from __future__ import annotations

from pathlib import Path

import pytest

from kazoo_bridge import interfaces, testing

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "api.md").read_text()
NOT_CLASSES = {"EventHandler", "MAX_ACCOUNT_LIMIT"}


@pytest.mark.parametrize(
    "name",
    [f"kazoo_bridge.interfaces.{name}" for name in interfaces.__all__ if name not in NOT_CLASSES]
    + [f"kazoo_bridge.testing.{name}" for name in testing.__all__],
)
def test_the_reference_documents_every_public_name(name: str) -> None:
    assert f":: {name}\n" in PAGE
