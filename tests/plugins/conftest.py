from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kazoo_bridge.plugins


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder for plugins, which are forgotten after the test."""
    path, modules = list(kazoo_bridge.plugins.__path__), set(sys.modules)
    yield tmp_path
    kazoo_bridge.plugins.__path__[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("kazoo_bridge.plugins."):
            del sys.modules[name]
            delattr(kazoo_bridge.plugins, name.rpartition(".")[2])
