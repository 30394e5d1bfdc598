from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.logger import LogLevel, capturedLogs

import kazoo_bridge.plugins
from kazoo_bridge.plugins.discovery import find_categories

GOOD = Path("etc/examples/queue_category.py").read_text()
CLASH = GOOD.replace('name = "queue"', 'name = "other"').replace("queue_entered", "channel_create")
INCOMPLETE = """
from twisted.plugin import IPlugin
from zope.interface import implementer
from kazoo_bridge.interfaces import IEventCategory

@implementer(IPlugin, IEventCategory)
class Half:
    name = "half"
    hooks = ()

half = Half()
"""
RAISING = GOOD.replace('name = "queue"', 'name = "raising"').replace("queue_", "raising_").replace(
    '"""One key for each hook."""', 'raise RuntimeError("no topics today")'
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before = list(kazoo_bridge.plugins.__path__)
    yield tmp_path
    kazoo_bridge.plugins.__path__[:] = before


def names(folder: Path) -> list[str]:
    return [category.name for category in find_categories(str(folder))]


def test_the_built_in_ones_are_found_without_a_folder() -> None:
    assert "call" in [category.name for category in find_categories()]


def test_bad_ones_are_reported_and_the_others_work(folder: Path) -> None:
    files = {
        "a_good": GOOD,
        "b_clash": CLASH,
        "c_incomplete": INCOMPLETE,
        "d_raising": RAISING,
        "e_broken": "import no_such_module_at_all\n",
        "f_syntax": "def (",
    }
    for name, text in files.items():
        (folder / f"kb_test_{name}.py").write_text(text)
    with capturedLogs() as logs:
        found = names(folder)
    assert found.count("queue") == 1
    assert "call" in found
    assert not {"other", "half", "raising"} & set(found)
    told = [
        str(event.get("where") or event.get("file")) + str(event.get("reason", ""))
        for event in logs
        if event["log_level"] >= LogLevel.error
    ]
    for part, reason in {
        "b_clash": "channel_create",
        "c_incomplete": "topics",
        "d_raising": "no topics today",
        "e_broken": "",
        "f_syntax": "",
    }.items():
        assert any(part in line and reason in line for line in told), (part, told)
