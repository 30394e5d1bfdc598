"""The service as operators run it: a twistd process with a configuration file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests

from tests.integration.rabbitmq import free_port

_BIN = Path(sys.executable).parent
_TIMEOUT = 30.0


def eventually(condition: Any, what: str, timeout: float = _TIMEOUT) -> Any:
    """Poll until `condition()` is true; its value."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(0.05)
    return value


class NodeProcess:
    """One node. `folder` keeps its configuration, database and log."""

    def __init__(self, folder: Path, amqp_uri: str, more_config: str = "", storage_uri: str = "") -> None:
        self.folder = folder
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
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start twistd; wait until it is ready."""
        with self.log.open("ab") as log:
            command = [str(_BIN / "twistd"), "-n", "--pidfile=", "kazoo_bridge", "--config", str(self.config)]
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        if wait:
            eventually(self.is_ready, f"ready; its log:\n{self.log_text()[-2000:]}")

    def is_ready(self) -> bool:
        """What /readyz says."""
        assert self.process is not None
        assert self.process.poll() is None, self.log_text()
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def log_text(self) -> str:
        """All it has written."""
        return self.log.read_text() if self.log.exists() else ""

    def command(self, *arguments: str) -> str:
        """Run kazoo-bridge; the last line of its output."""
        command = [str(_BIN / "kazoo-bridge"), "--config", str(self.config), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return str(done.stdout.splitlines()[-1])

    def rest(self, verb: str, path: str, token: str | None = None, data: Any = None) -> requests.Response:
        """One request to REST."""
        headers = {"Content-Type": "application/json"} | ({"X-Auth-Token": token} if token else {})
        body = None if data is None else json.dumps({"data": data})
        return requests.request(
            verb, f"http://127.0.0.1:{self.port}{path}", headers=headers, data=body, timeout=20
        )

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for its end; the exit code."""
        assert self.process is not None
        return self.process.wait(_TIMEOUT)

    def stop(self) -> None:
        """End it, however it is."""
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.wait()
        assert "RecursionError" not in self.log_text(), self.log_text()[-4000:]
