from __future__ import annotations

import sys
from pathlib import Path

from twisted.logger import LogLevel, capturedLogs, formatEvent

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
RAISING = (
    GOOD.replace('name = "queue"', 'name = "raising"')
    .replace("queue_", "raising_")
    .replace('"""One topic for each hook."""', 'raise RuntimeError("no topics today")')
)


def names(folder: Path) -> list[str]:
    return [category.name for category in find_categories(str(folder))]


def test_built_in_categories_are_found_without_a_folder() -> None:
    assert "call" in [category.name for category in find_categories()]


def test_unusable_files_are_reported_and_the_others_work(folder: Path) -> None:
    files = {
        "a_good": GOOD,
        "b_clash": CLASH,
        "c_incomplete": INCOMPLETE,
        "d_raising": RAISING,
        "e_broken": "import no_such_module_at_all\n",
        "f_syntax": "def (",
        "g_exit": "import sys; sys.exit(3)\n",
        "h_nothing": GOOD.replace("queue = QueueCategory()", "queue = QueueCategory").replace(
            'name = "queue"', 'name = "never"'
        ),
        "i_topics": GOOD.replace('name = "queue"', 'name = "long"')
        .replace("queue_", "long_")
        .replace("acdc.queue", "x" * 256),
    }
    for name, text in files.items():
        (folder / f"kb_test_{name}.py").write_text(text)
    with capturedLogs() as logs:
        found = names(folder)
    assert found.count("queue") == 1
    assert "call" in found
    assert not {"other", "half", "raising", "never", "long"} & set(found)
    lines = [
        str(event.get("location") or event.get("file")) + str(event.get("reason", ""))
        for event in logs
        if event["log_level"] >= LogLevel.warn
    ]
    for part, reason in {
        "b_clash": "channel_create",
        "c_incomplete": "topics",
        "d_raising": "no topics today",
        "e_broken": "",
        "f_syntax": "",
        "g_exit": "",
        "h_nothing": "",
        "i_topics": "255 bytes",
    }.items():
        assert any(part in line and reason in line for line in lines), (part, lines)


def test_a_file_that_now_exits_python_is_left_out(folder: Path) -> None:
    file = folder / "kb_test_ending.py"
    file.write_text(GOOD.replace('name = "queue"', 'name = "ending"').replace("queue_", "ending_"))
    assert "ending" in names(folder)
    del sys.modules["kazoo_bridge.plugins.kb_test_ending"]
    file.write_text("import sys\nsys.exit(3)\n")
    with capturedLogs() as logs:
        found = names(folder)
    assert "call" in found
    assert "ending" not in found
    assert [
        event
        for event in logs
        if "kb_test_ending" in str(event.get("file")) and event["log_level"] == LogLevel.critical
    ]


def test_a_file_whose_name_is_taken_is_reported(folder: Path) -> None:
    (folder / "discovery.py").write_text(GOOD)
    with capturedLogs() as logs:
        assert "queue" not in names(folder)
    assert [event["file"] for event in logs if "has its name" in event["log_format"]] == [
        str(folder / "discovery.py")
    ]


def test_files_that_are_not_imported_are_reported(folder: Path) -> None:
    (folder / "kb-test dash.py").write_text(GOOD)
    for name in ("sub", "kb_test_package", "__pycache__"):
        (folder / name).mkdir()
        (folder / name / "kb_test_below.py").write_text(GOOD)
    (folder / "kb_test_package" / "__init__.py").write_text("")
    with capturedLogs() as logs:
        assert "queue" not in names(folder)
    reported = {event["file"]: formatEvent(event) or "" for event in logs}
    assert "rename it to kb_test_dash.py" in reported[str(folder / "kb-test dash.py")]
    assert f"move it to {folder}" in reported[str(folder / "sub" / "kb_test_below.py")]
    assert not [file for file in reported if "__pycache__" in file]
    assert str(folder / "kb_test_package" / "kb_test_below.py") not in reported


def test_nothing_is_written_into_the_folder(folder: Path) -> None:
    (folder / "kb_test_unwritten.py").write_text(GOOD.replace("queue", "unwritten"))
    with capturedLogs() as logs:
        assert "unwritten" in names(folder)
    assert logs == []
    assert [one.name for one in folder.iterdir() if one.name != "__pycache__"] == ["kb_test_unwritten.py"]


def test_mistyped_modifiers_are_reported(folder: Path) -> None:
    text = GOOD.replace("samples=", 'modifiers={"status": {"type": "array", "itmes": ["a"]}}, samples=', 1)
    (folder / "kb_test_mistyped.py").write_text(text)
    with capturedLogs() as logs:
        assert "queue" in names(folder)
    assert "did you mean 'items'?" in " ".join(formatEvent(event) or "" for event in logs)
