"""The console's modules that need no page, under node."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SUITES = sorted(Path(__file__).parent.glob("*.test.mjs"))


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_suite(suite: Path) -> None:
    node = shutil.which("node")
    assert node is not None, "these tests need node: `make test` installs it, or `apt-get install nodejs`"
    done = subprocess.run([node, "--test", suite], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 0" not in done.stdout
