from pathlib import Path

import pytest

from tests.cli.harness import CliHarness


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliHarness:
    """The command, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return CliHarness()
