"""Runs a node of an earlier commit, and upgrades its database under it with the migrations of this checkout.

A rolling upgrade needs that: the older node goes on while the newer one has migrated.

    python -m tools.rolling_upgrade COMMIT

The node is that of ``kazoo-bridge demo``, with simulated calls and a receiver of webhooks. It must go on to
deliver, and to store what REST changes. Exits with 1 if it does not, and shows its log.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kazoo_bridge.storage import engine, migrate

ROOT = Path(__file__).resolve().parent.parent

#: Seconds to wait for anything.
TIMEOUT = 60.0

#: Deliveries that are waited for, before and after the upgrade.
DELIVERIES = 20

#: What the demo prints for each received webhook.
_RECEIVED = "hook received:"


class Failed(Exception):
    """The older node does not work; the text says how."""


class OldNode:
    """A node of the checkout `tree`, working in `folder`."""

    def __init__(self, tree: Path, folder: Path) -> None:
        ports = [_free_port() for _ in range(2)]
        config = folder / "node.toml"
        config.write_text(
            f'[storage]\nuri = "sqlite:///{folder}/node.sqlite3"\n'
            f'[http]\nendpoint = "tcp:{ports[0]}:interface=127.0.0.1"\n'
            f'[websockets]\nendpoint = "tcp:{ports[1]}:interface=127.0.0.1"\n'
        )
        config.chmod(0o600)
        self.database = folder / "node.sqlite3"
        self.log = folder / "node.log"
        self._base = f"http://127.0.0.1:{ports[0]}"
        command = [sys.executable, "-m", "kazoo_bridge.cli", "--config", str(config), "demo"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--calls-per-minute", "300", "--seed", "1"],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(tree), "PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=log,
            )

    def text(self) -> str:
        """What the node has printed."""
        return self.log.read_text(errors="replace")

    def received(self) -> int:
        """How many webhooks its receiver has received."""
        return self.text().count(_RECEIVED)

    def request(self, method: str, path: str, token: str, body: Any = None) -> Any:
        """Send a request to REST; return the value of ``data``."""
        request = urllib.request.Request(
            f"{self._base}{path}",
            None if body is None else json.dumps({"data": body}).encode(),
            {"X-Auth-Token": token, "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return json.load(response)["data"]

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition. Raises `Failed` after `TIMEOUT` seconds, or when the node has ended."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            if self._process.poll() is not None:
                raise Failed(f"the node has ended with exit code {self._process.returncode}")
            if time.monotonic() > deadline:
                raise Failed(f"waited {TIMEOUT:g} seconds for {what}")
            time.sleep(0.1)

    def stop(self) -> int:
        """Stop the node; return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(TIMEOUT)

    def kill(self) -> None:
        """End it in any case."""
        self._process.kill()
        self._process.wait()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _check(node: OldNode) -> None:
    node.wait(lambda: node.received() >= DELIVERIES, "the first webhooks")
    account, token = _credentials(node.text())
    before, after = _upgrade(node.database)
    print(f"upgraded from {before} to {after} under the node")
    count, printed = node.received(), len(node.text())
    node.wait(lambda: node.received() >= count + DELIVERIES, "webhooks after the upgrade")
    hooks = f"/v2/accounts/{account}/webhooks"
    document = {"name": "Later", "uri": "http://127.0.0.1:9/", "hook": "all", "enabled": False}
    made = node.request("PUT", hooks, token, document)
    node.request("PATCH", f"{hooks}/{made['id']}", token, {"name": "Changed"})
    if node.request("GET", f"{hooks}/{made['id']}", token)["name"] != "Changed":
        raise Failed("a hook was not changed")
    node.request("GET", f"{hooks}/attempts", token)
    node.request("DELETE", f"{hooks}/{made['id']}", token)
    faults = re.findall(r"Traceback|#(?:error|critical)|no such (?:table|column)", node.text()[printed:])
    if faults:
        raise Failed(f"the node has logged after the upgrade: {faults}")
    if code := node.stop():
        raise Failed(f"the node has stopped with exit code {code}")
    print(f"{node.received() - count} webhooks delivered after the upgrade, REST wrote and read, no error")


def _credentials(text: str) -> tuple[str, str]:
    """Return the account and the token of the first command that the demo suggests."""
    account, token = (
        re.search(r"accounts/([0-9a-f]{32})", text),
        re.search(r"X-Auth-Token: *([^\s'\"]+)", text),
    )
    if account is None or token is None:
        raise Failed("the demo has printed no account and token")
    return account[1], token[1]


def _upgrade(database: Path) -> tuple[str, str]:
    opened = engine.open_engine(f"sqlite:///{database}")
    try:
        with opened.connect() as connection:
            before = str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())
        migrate.upgrade(opened)
        return before, str(migrate.scripts().get_current_head())
    finally:
        opened.dispose()


def main() -> int:
    """Run the check; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("commit", help="the commit of the older version")
    commit = parser.parse_args().commit
    with tempfile.TemporaryDirectory() as folder:
        tree, work = Path(folder, "tree"), Path(folder, "work")
        work.mkdir()
        tree.mkdir()
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x"], cwd=tree, input=archive, check=True)
        node = OldNode(tree, work)
        try:
            _check(node)
        except Failed as error:
            print(node.text()[-5000:], f"FAILED: {error}", sep="\n")
            return 1
        finally:
            node.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
