from __future__ import annotations

import subprocess
import sys

import pytest

#: A reactor runs once in a process, and in that of the tests it runs already.
SCRIPT = """
import sys
import click
from kazoo_bridge.cli.reactor import run

async def work(reactor):
    {body}

try:
    print(run(work))
except click.ClickException as error:
    print("refused:", error.message)
"""


def run(body: str, before: str = "") -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", before + SCRIPT.format(body=body)], check=False, capture_output=True, text=True
    )
    return done.returncode, done.stdout.strip()


def test_results_and_errors() -> None:
    assert run("return 7") == (0, "7")
    assert run("raise click.ClickException('no node')") == (0, "refused: no node")


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_an_interrupted_command(name: str) -> None:
    body = "import os, signal; from twisted.internet.defer import Deferred;"
    body += f" reactor.callLater(0, os.kill, os.getpid(), signal.{name}); await Deferred()"
    assert run(body) == (130, "")


def test_a_command_that_ignores_the_end_of_its_terminal() -> None:
    body = "import os, signal; from twisted.internet.task import deferLater;"
    body += " os.kill(os.getpid(), signal.SIGHUP); return await deferLater(reactor, 0.1, lambda: 7)"
    assert run(body, "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)") == (0, "7")
