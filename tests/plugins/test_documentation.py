"""The code of docs/how-to/add-a-category.md and of etc/examples, carried out as a newcomer would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.logger import LogLevel, capturedLogs

from kazoo_bridge.plugins.discovery import find_categories

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "add-a-category.md").read_text()
CATEGORY, TEST = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def run_tests(folder: Path, name: str, category: str, test: str) -> subprocess.CompletedProcess[str]:
    """Write both files as the page says, and run its command."""
    for file, text in ((f"plugins/{name}_category.py", category), (f"tests/test_{name}_category.py", test)):
        (folder / file).parent.mkdir()
        (folder / file).write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["plugins", str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_tests_of_the_page_pass(tmp_path: Path) -> None:
    result = run_tests(tmp_path, "agent", CATEGORY, TEST)
    assert "2 passed" in result.stdout, result.stdout


def test_the_mistake_that_the_page_suggests_fails_as_it_says(tmp_path: Path) -> None:
    mistaken = CATEGORY.replace(
        '                "agent_status",\n                account', '"agent_joined", account'
    )
    result = run_tests(tmp_path, "agent", mistaken, TEST)
    assert "2 failed" in result.stdout, result.stdout
    assert "an occurrence is for the hook 'agent_joined', which is not one of its own" in result.stdout


def test_the_tests_of_the_example_pass(tmp_path: Path) -> None:
    examples = ROOT / "etc" / "examples"
    result = run_tests(
        tmp_path,
        "queue",
        (examples / "queue_category.py").read_text(),
        (examples / "test_queue_category.py").read_text(),
    )
    assert "6 passed" in result.stdout, result.stdout


@pytest.mark.parametrize("text", [CATEGORY, (ROOT / "etc/examples/queue_category.py").read_text()])
def test_a_node_loads_them_without_a_complaint(folder: Path, text: str) -> None:
    (folder / "kb_test_documented.py").write_text(text)
    with capturedLogs() as logs:
        found = [category.name for category in find_categories(str(folder))]
    assert {"queue", "agent"} & set(found)
    assert [log for log in logs if log["log_level"] >= LogLevel.warn] == []
