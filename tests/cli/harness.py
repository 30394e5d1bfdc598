"""Runs the command in the test's process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from kazoo_bridge.cli import main
from kazoo_bridge.storage import engine, tokens
from kazoo_bridge.storage.tokens import StoredToken

#: Account ids.
A, B = "a" * 32, "b" * 32

#: The storage of the default configuration, in the working directory.
STORAGE_URI = "sqlite:///kazoo-bridge.sqlite3"


class CliHarness:
    """The command ``kazoo-bridge --yes``, in the present working directory."""

    def run(self, *arguments: str, stdin: str = "", exit_code: int = 0) -> Result:
        """Run the command and check its exit code; only a failure prints to stderr, and only to stderr."""
        result = CliRunner().invoke(main, ["--yes", *arguments], input=stdin)
        assert result.exit_code == exit_code, result.output
        assert bool(result.stderr) == (exit_code != 0)
        assert exit_code == 0 or not result.stdout
        return result

    def lines(self, *arguments: str, stdin: str = "") -> list[str]:
        """Run the command and return the lines that it prints."""
        return self.run(*arguments, stdin=stdin).stdout.splitlines()

    def create(self, *arguments: str) -> str:
        """Run a command that creates an object; return its id or secret: the last line."""
        return self.lines(*arguments)[-1]

    def error(self, *arguments: str, stdin: str = "", exit_code: int = 1) -> str:
        """Run a command that fails, and return what it prints to stderr."""
        return self.run(*arguments, stdin=stdin, exit_code=exit_code).stderr


def lookup_token(token: str, now: float) -> StoredToken | None:
    """Read a token from the default storage as it is at the time `now`."""
    opened = engine.open_engine(STORAGE_URI)
    digest = tokens.secret_digest(token)
    found = engine.in_transaction(
        opened, lambda connection: tokens.lookup(connection, digest, now), writing=False
    )
    opened.dispose()
    return found
