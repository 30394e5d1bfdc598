"""A node of an earlier version goes on while the database is upgraded under it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MIGRATIONS = "kazoo_bridge/storage/migrations/versions"


def git(*arguments: str) -> str:
    """Return the output of git; empty when it fails, as in an archive or a shallow clone."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def last_landed() -> str:
    """The newest commit of the main branch that is not the present one."""
    head = git("rev-parse", "HEAD")
    for branch in ("origin/main", "main"):
        base = git("merge-base", "HEAD", branch)
        if base and base != head:
            return base
    return git("rev-parse", "--verify", "HEAD^")


def before_the_newest_migration() -> str:
    """The last commit with older tables."""
    added = git("log", "-1", "--format=%H", "--diff-filter=A", "--", MIGRATIONS)
    return git("rev-parse", "--verify", f"{added}^") if added else ""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("find_commit", [last_landed, before_the_newest_migration])
def test_an_earlier_version_works_on_upgraded_tables(find_commit: Callable[[], str]) -> None:
    commit = find_commit()
    if not commit:
        pytest.skip("there is no earlier commit here")
    command = [sys.executable, "-m", "tools.rolling_upgrade", commit]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "webhooks delivered after the upgrade" in done.stdout
