"""The demonstration as people start it, with ports of the test's own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.integration.bridge_process import eventually

_ANY_PORT = "tcp:0:interface=127.0.0.1"

_TENANT = re.compile(
    r"  (\S.*), (?:the reseller|a sub-account)\n  realm .*\n  account +(\w+)\n  token +(\w+)\n  api key +(\w+)\n"
)


class Tenant(NamedTuple):
    """An account that the demonstration tells of, and what one needs to act for it."""

    name: str
    account_id: str
    token: str
    api_key: str


class DemoProcess:
    """Runs from here to `stop`. The first of `tenants` is the reseller, the second one of those below it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.log = folder / "demo.log"
        environment = {
            **os.environ,
            "KAZOO_BRIDGE__HTTP__ENDPOINT": _ANY_PORT,
            "KAZOO_BRIDGE__WEBSOCKETS__ENDPOINT": _ANY_PORT,
        }
        command = [Path(sys.executable).parent / "kazoo-bridge", "demo", *options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        said = eventually(self._introduction, "the demonstration introduces itself")
        self.address = re.findall(r"console +(\S+)", said)[0]
        told = re.findall(
            r"  (\S.*), (?:the reseller|a sub-account)\n  realm .*\n  account +(\w+)\n  token +(\w+)\n  api key +(\w+)\n",
            said,
        )
        self.tenants = [Tenant(*one) for one in told]

    def _introduction(self) -> str:
        assert self.process.poll() is None, self.said()
        said = self.said()
        return said if said.count("api key") == 2 and "hook received" in said else ""

    def said(self) -> str:
        """All it has printed."""
        return self.log.read_text()

    def stop(self) -> None:
        """End it as people do, with Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        assert "RecursionError" not in self.said(), self.said()[-4000:]
