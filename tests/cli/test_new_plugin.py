from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kazoo_bridge.interfaces import API_VERSION
from tests.cli.harness import CliHarness

ROOT = Path(__file__).parents[2]


def test_the_tests_of_a_new_category_pass(cli: CliHarness, tmp_path: Path) -> None:
    lines = cli.lines("plugins", "new", "call_back", "made/here")
    category, test = (Path(line) for line in lines[-2:])
    assert category == Path("made/here/plugins/call_back_category.py")
    assert f"api_version = {API_VERSION}\n" in category.read_text()
    assert lines[1] == "  cd made/here && PYTHONPATH=plugins python3 -m pytest tests"
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=test.parents[1],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["plugins", str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 passed" in result.stdout, result.stdout


def test_no_file_is_overwritten(cli: CliHarness, tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_agent_category.py").write_text("mine")
    assert "tests/test_agent_category.py: it exists already" in cli.error("plugins", "new", "agent", ".")
    assert not (tmp_path / "plugins").exists()
    assert (tmp_path / "tests" / "test_agent_category.py").read_text() == "mine"


@pytest.mark.parametrize("name", ["Agent", "a-b", "../x", "", "1a", "a" * 32, "a.b", "class"])
def test_a_name_that_is_no_name_of_a_module(cli: CliHarness, tmp_path: Path, name: str) -> None:
    assert "NAME: expected up to 31 of a-z" in cli.error("plugins", "new", name, ".")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(cli: CliHarness, tmp_path: Path) -> None:
    (tmp_path / "plugins").write_text("a file")
    assert "cannot be written" in cli.error("plugins", "new", "agent", ".")
