"""Our node: a twistd process of a given tree, with the default configuration but for its surroundings."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from benchmarks.harness.folders import BENCHMARKS, environment, run
from tests.integration.rabbitmq import free_port

_BIN = Path(sys.executable).parent
_START_TIMEOUT = 600.0
_STOP_TIMEOUT = 60.0


class BenchmarkNode:
    """One process. `tree` is where it imports the product from; `storage` may be shared with other nodes.

    `more_config` has keys in TOML by section: what a benchmark needs beside the default.
    """

    def __init__(
        self, folder: Path, tree: Path, amqp_uri: str, *, storage: Path, more_config: Mapping[str, str]
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.tree = tree
        self.port, self.websocket_port = free_port(), free_port()
        self.storage = storage
        self.log = folder / "twistd.log"
        self.config = folder / "bridge.toml"
        sections = {
            "amqp": f'uri = "{amqp_uri}"',
            "storage": f'uri = "sqlite:///{storage}"',
            # The set-up sends more requests than one client may.
            "http": f'endpoint = "tcp:{self.port}:interface=127.0.0.1"\nrequests_per_second = 0',
            "websockets": f'endpoint = "tcp:{self.websocket_port}:interface=127.0.0.1"',
            "egress": 'allowed_networks = ["127.0.0.0/8"]',
        }
        for name, keys in more_config.items():
            sections[name] = f"{sections.get(name, '')}\n{keys}"
        self.config.write_text("\n".join(f"[{name}]\n{keys}" for name, keys in sections.items()))
        self._process: subprocess.Popen[bytes] | None = None
        self._token = ""
        # One connection for all requests: new ones have a budget, which the set-up of many hooks exceeds.
        self._session = requests.Session()

    def create_accounts(self, ids: Sequence[str]) -> None:
        """Create accounts in the storage; the node acts as the first of them, a super-admin."""
        script = BENCHMARKS / "harness" / "accounts.py"
        self._token = run([sys.executable, script, self.config, *ids], tree=self.tree).split()[-1]

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it is ready unless `wait` is False."""
        command = [str(_BIN / "twistd"), "-n", "--pidfile=", "kazoo_bridge", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.log.parent,
                env=environment(self.tree),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_TIMEOUT
        while wait and not self.is_ready():
            if time.monotonic() > deadline:
                raise RuntimeError(f"the node is not ready:\n{self._log_end()}")
            time.sleep(0.02)

    def is_ready(self) -> bool:
        """Whether ``/readyz`` answers 200. Raises RuntimeError if the process has ended."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"the node has ended:\n{self._log_end()}")
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=60).status_code == 200
        except requests.ConnectionError:
            return False

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def rest(self, verb: str, path: str, data: Any = None) -> Any:
        """Send a request to REST and return the data of the answer. Raises RuntimeError for an error."""
        answer = self._session.request(
            verb,
            f"http://127.0.0.1:{self.port}/v2{path}",
            headers={"X-Auth-Token": self._token},
            json=None if data is None else {"data": data},
            timeout=60,
        )
        if not answer.ok:
            raise RuntimeError(f"{verb} {path}: {answer.status_code} {answer.text[:1000]}")
        return answer.json()["data"]

    @property
    def token(self) -> str:
        """The token of the super-admin."""
        return self._token

    def stop(self) -> None:
        """Stop it like an operator, and kill it if that takes longer than a minute."""
        self._session.close()
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def _log_end(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]
