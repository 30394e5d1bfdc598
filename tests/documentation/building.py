"""Builds the documentation as ``make docs`` does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build(folder: Path) -> Path:
    """Build the pages below `folder`; returns their folder. Raises AssertionError with Sphinx's warnings."""
    pages = folder / "pages"
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", str(folder / "doctrees")]
    result = subprocess.run(
        [*command, "-b", "html", "docs", str(pages)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return pages
