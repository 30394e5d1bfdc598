"""The demo as a process, as users start it, on free ports."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import requests

from tests.integration.node_process import eventually

_FREE_PORT = "tcp:0:interface=127.0.0.1"
_TIMEOUT_S = 30

_TENANT = re.compile(
    r"  (\S.*), (?:the reseller|a sub-account)\n  realm .*\n"
    r"  account +(\w+)\n  token +(\w+)\n  api key +(\w+)\n"
)
_CONSOLE = re.compile(r"console +(\S+)/console/")


class Tenant(NamedTuple):
    """An account that the demo prints, with its credentials."""

    name: str
    account_id: str
    token: str
    api_key: str


class DemoProcess:
    """A running demo. The first of its `tenants` is the reseller, the second a sub-account.

    The seed makes accounts, names and the sequence of random decisions the same in every run. Which calls are
    live at some moment still depends on the machine's speed, so tests get theirs from `held_call`.

    `settings` are those of the node, by the names of environment variables.
    """

    def __init__(
        self, folder: Path, *options: str, seed: int, settings: Mapping[str, str] | None = None
    ) -> None:
        self.log = folder / "demo.log"
        environment = {
            **os.environ,
            "KAZOO_BRIDGE__HTTP__ENDPOINT": _FREE_PORT,
            "KAZOO_BRIDGE__WEBSOCKETS__ENDPOINT": _FREE_PORT,
            **(settings or {}),
        }
        command = [str(Path(sys.executable).parent / "kazoo-bridge"), "demo", "--seed", str(seed), *options]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        introduction = eventually(self._introduction, "the demo prints its accounts")
        self._base_url = _CONSOLE.findall(introduction)[0]
        self.address = f"{self._base_url}/console/"
        self.tenants = [Tenant(*fields) for fields in _TENANT.findall(introduction)]

    def _introduction(self) -> str:
        assert self._process.poll() is None, self.output()
        output = self.output()
        return output if len(_TENANT.findall(output)) == 2 else ""

    def output(self) -> str:
        """Return everything the demo has printed."""
        return self.log.read_text()

    def held_call(self, tenant: Tenant) -> str:
        """Put the next external call on hold, where it stays for a minute, and return its call id.

        Calls of the demo proceed by themselves until their first command, and then stay as they are for a
        minute or longer. The first command goes to a call that has just been connected: the demo leaves it
        connected for at least four seconds, so the command does not come too late.
        """
        call_id = self._next_connected_call(tenant)
        url = f"{self._account_url(tenant)}/channels/{quote(call_id, safe='')}"
        headers = {"X-Auth-Token": tenant.token}
        response = requests.post(url, headers=headers, json={"data": {"action": "hold"}}, timeout=_TIMEOUT_S)
        response.raise_for_status()
        return call_id

    def _next_connected_call(self, tenant: Tenant) -> str:
        query = {"binding": "call.CHANNEL_BRIDGE.*", "auth_token": tenant.token}
        events = requests.get(f"{self._account_url(tenant)}/events", query, stream=True, timeout=_TIMEOUT_S)
        with events:
            events.raise_for_status()
            for line in events.iter_lines(chunk_size=1):
                call = json.loads(line.removeprefix(b"data:"))["data"] if line.startswith(b"data:") else {}
                is_external = "authorizing_id" not in call.get("custom_channel_vars", {})
                if call.get("call_direction") == "inbound" and is_external:
                    return str(call["call_id"])
        raise AssertionError("the stream of events ended")

    def _account_url(self, tenant: Tenant) -> str:
        return f"{self._base_url}/v2/accounts/{tenant.account_id}"

    def stop(self) -> None:
        """Stop the demo like a user, with Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(_TIMEOUT_S)
