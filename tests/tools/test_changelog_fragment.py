from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import changelog_fragment
from tools.changelog_fragment import main, needs_fragment


@pytest.mark.parametrize(
    ("changed", "needed"),
    [
        ([], False),
        (["tests/test_topics.py", "docs/index.md"], False),
        (["kazoo_bridge/topics.py"], True),
        (["etc/kazoo-bridge.toml"], True),
        (["twisted/plugins/kazoo_bridge_plugin.py"], True),
        (["kazoo_bridge/topics.py", "changelog.d/README.md"], True),
        (["kazoo_bridge/topics.py", "changelog.d/+topics.bugfix.md"], False),
    ],
)
def test_a_visible_change_needs_a_fragment(changed: list[str], needed: bool) -> None:
    assert needs_fragment(changed) is needed


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout with one commit on main, in the place of this one."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "kazoo_bridge").mkdir()
    (tmp_path / "kazoo_bridge" / "topics.py").write_text("")
    monkeypatch.setattr(changelog_fragment, "__file__", str(tmp_path / "tools" / "changelog_fragment.py"))
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path)
    return tmp_path


def git(folder: Path, *command: str) -> None:
    author = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *author, *command], cwd=folder, check=True)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "x")


def test_the_changes_of_a_branch_are_checked(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(checkout, "checkout", "--quiet", "-b", "feature")
    (checkout / "kazoo_bridge" / "topics.py").write_text("changed = True\n")
    commit(checkout)
    assert main() == 1
    assert "changelog.d/+NAME.TYPE.md" in capsys.readouterr().err
    (checkout / "changelog.d").mkdir()
    (checkout / "changelog.d" / "+topics.feature.md").write_text("Topics change.\n")
    assert main() == 0


def test_on_the_main_branch_only_uncommitted_changes_count(checkout: Path) -> None:
    (checkout / "kazoo_bridge" / "topics.py").write_text("changed = True\n")
    assert main() == 1
    commit(checkout)
    assert main() == 0
    assert main(["HEAD^"]) == 1
