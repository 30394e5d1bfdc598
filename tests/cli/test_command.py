from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from kazoo_bridge import __version__
from kazoo_bridge.cli import main
from kazoo_bridge.cli.command import COMMANDS
from kazoo_bridge.storage import engine, migrate
from tests.cli.harness import A, CliHarness, lookup_token


def test_the_configuration_is_checked(cli: CliHarness, tmp_path: Path) -> None:
    assert cli.lines("config", "check") == ["configuration is fine"]
    (tmp_path / "bad.toml").write_text("[nonsense]\n")
    assert "nonsense" in cli.error("--config", "bad.toml", "config", "check")
    assert "missing.toml" in cli.error("--config", "missing.toml", "config", "check")


def test_the_permissions_of_the_configuration_are_checked(cli: CliHarness, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "bridge.toml"
    path.write_text('[amqp]\nuri = "amqp://bridge:secret@broker/"\n')
    path.chmod(0o644)
    result = CliRunner().invoke(main, ["--config", str(path), "config", "check"])
    assert (result.exit_code, result.stdout) == (0, "configuration is fine\n")
    assert result.stderr.startswith(f"warning: {path}: every user can read it")
    path.chmod(0o666)
    assert "every user can write it" in cli.error("--config", str(path), "config", "check")


def test_help_and_version(cli: CliHarness) -> None:
    assert __version__ in cli.run("--version").stdout
    for name in ("account", "token", "api-key", "hook", "number", "config", "demo"):
        assert f"\n  {name} " in cli.run("-h").stdout
        assert cli.lines(name, "--help")


def test_an_unknown_command(cli: CliHarness) -> None:
    assert "nonsense" in cli.error("nonsense", exit_code=2)


def test_a_process_beside_an_open_database(cli: CliHarness, tmp_path: Path) -> None:
    opened = engine.open_engine(f"sqlite:///{tmp_path}/kazoo-bridge.sqlite3")
    migrate.upgrade(opened)

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kazoo_bridge.cli", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    with opened.connect() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM accounts").all()
        created = command("account", "create", "--id", A)
    assert (created.returncode, created.stdout, created.stderr) == (0, f"{A}\n", "")
    token = command("token", "create", "--account", A).stdout.strip()
    assert lookup_token(token, 0) is not None
    refused = command("account", "create", "--id", A)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "already" in refused.stderr
    opened.dispose()


def test_no_reactor_is_installed() -> None:
    script = "import sys, kazoo_bridge.cli; sys.exit('twisted.internet.reactor' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_shell_completes_commands() -> None:
    environment = {
        "_KAZOO_BRIDGE_COMPLETE": "bash_complete",
        "COMP_WORDS": "kazoo-bridge dep",
        "COMP_CWORD": "1",
    }
    completed = CliRunner().invoke(main, prog_name="kazoo-bridge", env=environment)
    assert completed.stdout.strip() == ""
    environment["COMP_WORDS"] = "kazoo-bridge deli"
    assert CliRunner().invoke(main, prog_name="kazoo-bridge", env=environment).stdout == "plain,deliveries\n"


def test_the_reference_names_every_command() -> None:
    reference = (Path(__file__).parents[2] / "docs" / "reference" / "command.md").read_text()
    for name, lazy in COMMANDS.items():
        command = lazy.load()
        for one in getattr(command, "commands", {None: command}):
            assert f"`{name if one is None else f'{name} {one}'}" in reference, (name, one)
