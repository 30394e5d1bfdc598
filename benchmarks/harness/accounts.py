"""Creates accounts and a token in the storage of a node, and prints the token.

A script, run with the configuration's path and the accounts' ids as arguments, in a process that imports the
product from the tree under test. The first account is a super-admin, and the token is its.
"""

from __future__ import annotations

import sys

from click.testing import CliRunner

from kazoo_bridge.cli import main


def command(config: str, *arguments: str) -> str:
    """Run ``kazoo-bridge`` and return the last line of its output."""
    result = CliRunner().invoke(main, ["--config", config, *arguments])
    if result.exit_code:
        sys.exit(result.output)
    return result.stdout.splitlines()[-1]


if __name__ == "__main__":
    path, first, *others = sys.argv[1:]
    command(path, "account", "create", "--id", first, "--superadmin")
    for account in others:
        command(path, "account", "create", "--id", account)
    print(command(path, "token", "create", "--account", first))
