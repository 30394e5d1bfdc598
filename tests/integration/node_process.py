"""A node as operators run it: a twistd process with a configuration file.

Most are forks of a process that has imported their modules, which saves most of the time of their start."""

from __future__ import annotations

import atexit
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests
from click.testing import CliRunner

from kazoo_bridge.cli import main as kazoo_bridge_command
from tests.integration.forked_twistd import ForkedTwistd
from tests.integration.rabbitmq import free_port

_BIN = Path(sys.executable).parent
_TIMEOUT = 30.0

#: Seconds that a node may take to be ready; a processor that many share makes it slow.
_START_TIMEOUT = 90.0


def eventually(condition: Any, what: str, timeout: float = _TIMEOUT) -> Any:
    """Poll until `condition()` is true and return its value; `what` is what did not happen by then."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(0.05)
    return value


class NodeProcess:
    """One node, whose configuration, database and log are in `folder`.

    `max_files`: how many files the process may open, if that is not the limit of the tests.
    """

    def __init__(
        self,
        folder: Path,
        amqp_uri: str,
        more_config: str = "",
        storage_uri: str = "",
        max_files: int | None = None,
    ) -> None:
        self.folder = folder
        self.max_files = max_files
        self.port = free_port()
        self.websocket_port = free_port()
        self.storage_uri = storage_uri or f"sqlite:///{folder}/bridge.sqlite3"
        self.config = folder / "bridge.toml"
        self.config.write_text(
            f"""
[amqp]
uri = "{amqp_uri}"
[storage]
uri = "{self.storage_uri}"
[http]
endpoint = "tcp:{self.port}:interface=127.0.0.1"
[websockets]
endpoint = "tcp:{self.websocket_port}:interface=127.0.0.1"
[egress]
allowed_networks = ["127.0.0.0/8"]
{more_config}
"""
        )
        self.log = folder / "twistd.log"
        #: Further arguments of twistd.
        self.arguments: list[str] = []
        self.process: subprocess.Popen[bytes] | ForkedTwistd | None = None

    def start(self, *, wait: bool = True, installed: bool = False) -> None:
        """Start twistd, and wait until the node is ready unless `wait` is False.

        With `installed` it is the program that is installed, in a process without anything of this one.
        """
        arguments = ["-n", "--pidfile=", *self.arguments, "kazoo_bridge", "--config", str(self.config)]
        if installed or self.max_files is not None:
            self.process = self._start_installed(arguments)
        else:
            self.process = ForkedTwistd(arguments, self.folder, self.log)
        atexit.register(self.process.kill)  # for tests that fail before they stop it
        if wait:
            eventually(self.is_ready, f"ready; its log:\n{self.log_text()[-2000:]}", _START_TIMEOUT)

    def _start_installed(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        command = [str(_BIN / "twistd"), *arguments]
        if self.max_files is not None:
            command = ["sh", "-c", f'ulimit -n {self.max_files} && exec "$@"', "sh", *command]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def is_ready(self) -> bool:
        """Whether ``/readyz`` answers 200."""
        assert self.process is not None
        assert self.process.poll() is None, self.log_text()
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def log_text(self) -> str:
        """Return what the process has written so far."""
        return self.log.read_text() if self.log.exists() else ""

    def command(self, *arguments: str) -> str:
        """Run ``kazoo-bridge`` with the node's configuration and return the last line of its output.

        It runs in this process: another one needs a second of the processor to start.
        """
        result = CliRunner().invoke(kazoo_bridge_command, ["--config", str(self.config), *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()[-1]

    def command_process(self, *arguments: str) -> str:
        """Run ``kazoo-bridge`` like `command`, in a process of its own, as it is installed."""
        command = [str(_BIN / "kazoo-bridge"), "--config", str(self.config), *arguments]
        result = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
        return result.stdout.splitlines()[-1]

    def rest(self, verb: str, path: str, token: str | None = None, data: Any = None) -> requests.Response:
        """Send one request to REST; `data` is the content of the envelope."""
        headers = {"Content-Type": "application/json"} | ({"X-Auth-Token": token} if token else {})
        body = None if data is None else json.dumps({"data": data})
        return requests.request(
            verb, f"http://127.0.0.1:{self.port}{path}", headers=headers, data=body, timeout=20
        )

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        assert self.process is not None
        self.process.send_signal(number)

    def ended(self, timeout: float = _TIMEOUT) -> int:
        """Wait until the process ends, at most `timeout` seconds, and return its exit code."""
        assert self.process is not None
        return self.process.wait(timeout)

    def stop(self) -> None:
        """Kill the process if it is still running, and check its log."""
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.wait()
        assert "RecursionError" not in self.log_text(), self.log_text()[-4000:]
