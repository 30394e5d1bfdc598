from __future__ import annotations

import subprocess
import sys

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


def run(body: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(body=body)], check=False, capture_output=True, text=True
    )
    return done.returncode, done.stdout.strip()


def test_results_and_errors() -> None:
    assert run("return 7") == (0, "7")
    assert run("raise click.ClickException('no node')") == (0, "refused: no node")


def test_an_interrupted_command() -> None:
    body = "import os, signal; from twisted.internet.defer import Deferred;"
    body += " reactor.callLater(0, os.kill, os.getpid(), signal.SIGINT); await Deferred()"
    assert run(body) == (130, "")
