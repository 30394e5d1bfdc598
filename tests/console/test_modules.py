"""Run the tests of the console's modules with node; modules that need a page are tested in tests/browser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

TEST_FILES = sorted(Path(__file__).parent.glob("*.test.mjs"))

_TIMEOUT_S = 60


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.name)
def test_module(path: Path) -> None:
    node = shutil.which("node")
    assert node is not None, "these tests need node: `make test` installs it, or `apt-get install nodejs`"
    # Without --test, which starts another process that a timeout would not end.
    command = [node, "--test-reporter=tap", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
    assert result.returncode == 0, result.stdout + result.stderr
    # Node succeeds as well for a file without tests.
    assert "# pass 0" not in result.stdout
