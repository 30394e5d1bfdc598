from __future__ import annotations

import subprocess
import sys

import click
import pytest

from kazoo_bridge.cli.command import COMMANDS, main
from tests.cli.harness import CliHarness


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_where_it_is_said_to_be(name: str) -> None:
    command = COMMANDS[name].load()
    assert command.name == name
    assert (command.help or "").split("\n\n")[0].replace("\n", " ").strip() == COMMANDS[name].help


def test_the_help_lists_all_commands(cli: CliHarness) -> None:
    listed = [line.split()[0] for line in cli.lines("--help") if line.startswith("  ") and line[2] != " "]
    assert set(COMMANDS) <= set(listed)
    assert main.list_commands(click.Context(main)) == sorted(COMMANDS)


def test_the_help_imports_no_storage_and_no_network() -> None:
    script = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from kazoo_bridge.cli import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "heavy = {'sqlalchemy', 'twisted', 'alembic', 'cryptography', 'cattrs'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
