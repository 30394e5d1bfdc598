from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from kazoo_bridge.cli import main
from tests.cli.harness import CliHarness

pytestmark = pytest.mark.usefixtures("plugins_forgotten")

EXAMPLE = Path(__file__).parents[2] / "etc" / "examples" / "queue_category.py"


def test_categories_are_listed(cli: CliHarness) -> None:
    listed = json.loads(cli.run("plugins", "list", "--json").stdout)
    assert {one["name"]: one["hooks"] for one in listed}["messages"] == "sms, mms"
    assert all(one["built_in"] for one in listed)
    assert cli.lines("plugins", "list")[0].split() == ["NAME", "BUILT", "IN", "HOOKS", "BINDINGS"]


def test_a_usable_file(cli: CliHarness, tmp_path: Path) -> None:
    file = tmp_path / "checked_queue.py"
    file.write_text(EXAMPLE.read_text())
    first, second = cli.lines("plugins", "check", str(file))
    assert first.startswith("category ")
    assert second.startswith("  bindings ")
    assert "queue" not in cli.run("plugins", "list").stdout


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("checked_broken.py", "raise ValueError('no')", "ValueError: no"),
        ("checked_empty.py", "x = 1", "no object in it provides IPlugin and IEventCategory"),
        ("checked_taken.py", EXAMPLE.read_text().replace('"queue"', '"call"'), "call"),
    ],
)
def test_files_that_a_node_leaves_out(
    cli: CliHarness, tmp_path: Path, name: str, text: str, reason: str
) -> None:
    (tmp_path / name).write_text(text)
    result = CliRunner().invoke(main, ["plugins", "check", str(tmp_path / name)])
    assert result.exit_code == 1
    assert reason in result.stderr


def test_mistakes_in_files_that_work_are_warnings(
    cli: CliHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modifiers = 'modifiers={"status": {"itmes": ["a"]}}, samples='
    file = tmp_path / "plugins" / "checked_mistyped.py"
    file.parent.mkdir(mode=0o755)
    file.write_text(EXAMPLE.read_text().replace("samples=", modifiers, 1))
    file.chmod(0o644)
    monkeypatch.setenv("KAZOO_BRIDGE__PLUGINS__PATH", str(file.parent))
    checked = CliRunner().invoke(main, ["plugins", "check", str(file)])
    listed = CliRunner().invoke(main, ["plugins", "list"])
    for result in (checked, listed):
        assert result.exit_code == 0
        assert result.stderr.startswith("warning: event category has a mistake ")
        assert "did you mean 'items'?" in result.stderr


def test_a_name_that_python_cannot_import(cli: CliHarness, tmp_path: Path) -> None:
    (tmp_path / "my-plugin.py").write_text("")
    assert "name that Python can import" in cli.error("plugins", "check", str(tmp_path / "my-plugin.py"))
