from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path, plugins_forgotten: None) -> Path:
    """An empty folder for plugins, which are forgotten after the test."""
    return tmp_path
