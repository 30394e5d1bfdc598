"""The demonstration: what ``kazoo-bridge demo`` runs."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from typing import Any

from attrs import evolve
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.logger import FilteringLogObserver, LogLevel, LogLevelFilterPredicate, globalLogPublisher, textFileLogObserver
from twisted.web.server import Site

from kazoo_bridge.config import Config, ConfigError, load
from kazoo_bridge.demo.receiver import Receiver
from kazoo_bridge.demo.switchboard import Switchboard
from kazoo_bridge.interfaces import IBus, StoredHook
from kazoo_bridge.process import Process

_CALLS_PER_MINUTE = 20.0
_LOOPBACK = "127.0.0.0/8"


def main(config_path: str | None) -> None:
    """Run until interrupted. Ends with exit code 1 when the configuration is wrong or a port is taken."""
    try:
        config = load(config_path, os.environ)
    except ConfigError as error:
        sys.stderr.write("".join(f"{mistake}\n" for mistake in error.mistakes))
        raise SystemExit(1) from None
    from twisted.internet import reactor

    warnings = FilteringLogObserver(textFileLogObserver(sys.stderr), [LogLevelFilterPredicate(LogLevel.warn)])
    globalLogPublisher.addObserver(warnings)
    with tempfile.TemporaryDirectory(prefix="kazoo-bridge-demo-") as folder:
        if config_path is None:
            config = evolve(config, storage=evolve(config.storage, uri=f"sqlite:///{folder}/demo.sqlite3"))
        # The demonstration's receiver lives on this machine, where hooks may not go otherwise.
        egress = evolve(config.egress, allowed_networks=(*config.egress.allowed_networks, _LOOPBACK))
        _run(reactor, evolve(config, egress=egress))


def _run(reactor: Any, config: Config) -> None:
    # The service sits above this room; the demonstration starts it as twistd would.
    from kazoo_bridge.bridge import Bridge
    from kazoo_bridge.service import BridgeService

    process = Process(reactor)
    bridge = Bridge.of(reactor, config)
    service = BridgeService(bridge, process)
    show = _Show(reactor, service.bridge)
    process.install(service.hurry)
    reactor.callWhenRunning(service.startService)
    reactor.callWhenRunning(
        lambda: (
            service.started()
            .addCallback(lambda _: Deferred.fromCoroutine(show.begin()))
            .addErrback(lambda failure: process.fail(f"the demonstration cannot begin: {failure.getErrorMessage()}"))
        )
    )
    reactor.addSystemEventTrigger("before", "shutdown", show.end)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run(installSignalHandlers=True)


class _Show:
    """What the demonstration adds to a running bridge."""

    def __init__(self, reactor: Any, bridge: Any) -> None:
        self._reactor = reactor
        self._bridge = bridge
        self._players = MultiService()

    async def begin(self) -> None:
        """Create an account, a token and a hook; start the receiver and the switchboard; say how to look at it."""
        account_id = secrets.token_hex(16)
        account = await self._bridge.accounts.create(account_id, name="Demo Telephones", realm="demo.example.com")
        await self._bridge.directory.load()
        token = (await self._bridge.tokens.create(account_id)).token
        port = await TCP4ServerEndpoint(self._reactor, 0, interface="127.0.0.1").listen(Site(Receiver(sys.stdout)))
        hook = await self._bridge.webhooks.hooks.create(
            account_id, {"name": "demo receiver", "uri": f"http://127.0.0.1:{port.getHost().port}/hooks", "hook": "all"}
        )
        bus: IBus = self._bridge.bus
        Switchboard(self._reactor, bus, account_id, account.realm, _CALLS_PER_MINUTE).setServiceParent(self._players)
        self._say(account_id, token, hook)
        self._players.startService()

    async def _end(self) -> None:
        if self._players.running:
            await self._players.stopService()

    def end(self) -> Deferred[None]:
        """Stop the switchboard."""
        return Deferred.fromCoroutine(self._end())

    def _say(self, account_id: str, token: str, hook: StoredHook) -> None:
        address = f"http://{self._bridge.http_host}"
        sys.stdout.write(
            f"""
kazoo_bridge is running with a simulated switchboard that makes {_CALLS_PER_MINUTE:g} calls a minute.
An account, a token and a hook ({hook.id}) are there already, and a small web server that
prints the hooks it receives. Everything is forgotten when you press Ctrl-C.

  REST     {address}/v2/accounts/{account_id}/webhooks
  health   {address}/readyz
  try      curl -H 'X-Auth-Token: {token}' {address}/v2/accounts/{account_id}/webhooks
  account  {account_id}
  token    {token}

"""
        )
        sys.stdout.flush()
