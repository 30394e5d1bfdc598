"""The demonstration: what ``kazoo-bridge demo`` runs."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from attrs import evolve, frozen
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogPublisher,
    textFileLogObserver,
)
from twisted.web.server import Site

from kazoo_bridge.config import Config, ConfigError, load
from kazoo_bridge.demo.options import DemoOptions
from kazoo_bridge.demo.receiver import WebhookPrinter
from kazoo_bridge.demo.switchboard import Switchboard
from kazoo_bridge.demo.tenants import Tenant, make_tenants
from kazoo_bridge.interfaces import StoredHook
from kazoo_bridge.node.signals import SignalHandler

_LOOPBACK = "127.0.0.0/8"


def main(config_path: str | None, options: DemoOptions) -> None:
    """Run until interrupted. Ends with exit code 1 when the configuration is wrong or a port is taken."""
    try:
        config = load(config_path, os.environ)
    except ConfigError as error:
        sys.stderr.write("".join(f"{mistake}\n" for mistake in error.errors))
        raise SystemExit(1) from None
    from twisted.internet import reactor

    warnings = FilteringLogObserver(textFileLogObserver(sys.stderr), [LogLevelFilterPredicate(LogLevel.warn)])
    globalLogPublisher.addObserver(warnings)
    with tempfile.TemporaryDirectory(prefix="kazoo-bridge-demo-") as folder:
        if config_path is None:
            config = evolve(config, storage=evolve(config.storage, uri=f"sqlite:///{folder}/demo.sqlite3"))
        # The demonstration's receiver lives on this machine, where hooks may not go otherwise.
        egress = evolve(config.egress, allowed_networks=(*config.egress.allowed_networks, _LOOPBACK))
        _run(reactor, evolve(config, egress=egress), options)


def _run(reactor: Any, config: Config, options: DemoOptions) -> None:
    # The service sits above this room; the demonstration starts it as twistd would.
    from kazoo_bridge.node.node import Node
    from kazoo_bridge.node.tap import NodeService

    process = SignalHandler(reactor)
    bridge = Node.from_config(reactor, config)
    service = NodeService(bridge, process.exit_with_error)
    show = _DemoRunner(reactor, service.node, options)
    process.install(service.force_shutdown)
    reactor.callWhenRunning(service.startService)
    reactor.callWhenRunning(
        lambda: (
            service.when_started()
            .addCallback(lambda _: Deferred.fromCoroutine(show.begin()))
            .addErrback(
                lambda failure: process.exit_with_error(
                    f"the demonstration cannot begin: {failure.getErrorMessage()}"
                )
            )
        )
    )
    reactor.addSystemEventTrigger("before", "shutdown", show.end)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run(installSignalHandlers=True)


class _DemoRunner:
    """What the demonstration adds to a running bridge."""

    def __init__(self, reactor: Any, bridge: Any, options: DemoOptions) -> None:
        self._reactor = reactor
        self._bridge = bridge
        self._options = options
        self._players = MultiService()

    async def begin(self) -> None:
        """Create accounts, tokens and a hook; start the receiver and the switchboard; say how to look at it."""
        chance = random.Random(self._options.seed)
        tenants = make_tenants(chance, self._options.accounts)
        keys = await self._open_accounts(tenants)
        port = await TCP4ServerEndpoint(self._reactor, 0, interface="127.0.0.1").listen(
            Site(WebhookPrinter(sys.stdout))
        )
        hook = await self._bridge.webhooks.hooks.create(
            tenants[0].id,
            {
                "name": "demo receiver",
                "uri": f"http://127.0.0.1:{port.getHost().port}/hooks",
                "hook": "all",
                "include_subaccounts": True,
            },
        )
        Switchboard(self._reactor, self._bridge.bus, tenants, self._options, chance, _print).setServiceParent(
            self._players
        )
        self._print_introduction(keys, hook)
        self._players.startService()

    async def _open_accounts(self, tenants: Sequence[Tenant]) -> list[_Credentials]:
        """Keep the accounts; the reseller and its first sub-account get what is needed to act for them."""
        reseller = tenants[0]
        for tenant in tenants:
            parent_id = None if tenant is reseller else reseller.id
            await self._bridge.accounts.create(
                tenant.id, parent_id=parent_id, name=tenant.name, realm=tenant.realm
            )
        await self._bridge.directory.load()
        tokens = self._bridge.tokens
        return [
            _Credentials(one, (await tokens.create(one.id)).token, await tokens.create_api_key(one.id))
            for one in tenants[:2]
        ]

    async def _end(self) -> None:
        if self._players.running:
            await self._players.stopService()

    def end(self) -> Deferred[None]:
        """Stop the switchboard."""
        return Deferred.fromCoroutine(self._end())

    def _print_introduction(self, keys: Sequence[_Credentials], hook: StoredHook) -> None:
        address = f"http://{self._bridge.http_host}"
        options, (reseller, sub) = self._options, keys
        _print(
            f"""
kazoo_bridge is running with a simulated switchboard that makes {options.calls_per_minute:g} calls a minute,
at most {options.max_calls} at a time. A reseller with sub-accounts ({options.accounts - 1} of them), tokens, and a hook of the
reseller's for all of them ({hook.id}) are there already, and a small
web server that prints the hooks it receives. The switchboard obeys commands to its calls, and says so here.
Everything is forgotten when you press Ctrl-C.

  console  {address}/console/
  REST     {address}/v2/accounts/{reseller.tenant.id}/webhooks
  health   {address}/readyz
  try      curl -H 'X-Auth-Token: {reseller.token}' {address}/v2/accounts/{reseller.tenant.id}/webhooks

{reseller.told("the reseller")}
{sub.told("a sub-account")}"""
        )


@frozen
class _Credentials:
    """An account and what one needs to act for it."""

    tenant: Tenant
    token: str
    api_key: str

    def told(self, role: str) -> str:
        return f"""  {self.tenant.name}, {role}
  realm    {self.tenant.realm}
  account  {self.tenant.id}
  token    {self.token}
  api key  {self.api_key}
"""


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
