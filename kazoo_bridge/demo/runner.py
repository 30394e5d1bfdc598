"""Runs ``kazoo-bridge demo``: a node with a simulated switch and a receiver of webhooks."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import treq
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
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.server import Site

from kazoo_bridge.config import Config, ConfigError, load
from kazoo_bridge.demo import DemoOptions
from kazoo_bridge.demo.front_desk import PivotRoute
from kazoo_bridge.demo.receiver import WebhookPrinter
from kazoo_bridge.demo.switchboard import Switchboard
from kazoo_bridge.demo.tenant_people import TenantPeople
from kazoo_bridge.demo.tenants import Party, Tenant, make_tenants
from kazoo_bridge.interfaces import StoredHook
from kazoo_bridge.node.assembly import build_node
from kazoo_bridge.node.node import Node
from kazoo_bridge.node.signals import SignalHandler
from kazoo_bridge.node.tap import NodeService
from kazoo_bridge.rest.resources.pivot_door import PIVOT_PATH

_LOOPBACK = "127.0.0.0/8"

#: Milliseconds that an operator has to say where a call goes: as many as a pivot point may have.
_PIVOT_TIMEOUT_MS = 10_000

#: Seconds for a request to the pivot point, which must have an answer before.
_REQUEST_TIMEOUT = 12


def main(config_path: str | None, options: DemoOptions) -> None:
    """Run until interrupted. The process ends with exit code 1 for a bad configuration or a port in use."""
    try:
        config = load(config_path, os.environ)
    except ConfigError as error:
        sys.stderr.write("".join(f"{line}\n" for line in error.errors))
        raise SystemExit(1) from None
    from twisted.internet import reactor  # not at the top: importing it installs it

    warnings = FilteringLogObserver(textFileLogObserver(sys.stderr), [LogLevelFilterPredicate(LogLevel.warn)])
    globalLogPublisher.addObserver(warnings)
    with tempfile.TemporaryDirectory(prefix="kazoo-bridge-demo-") as folder:
        if config_path is None:
            config = evolve(config, storage=evolve(config.storage, uri=f"sqlite:///{folder}/demo.sqlite3"))
        # The demo's receiver is on this host, to which webhooks must not go by default.
        egress = evolve(config.egress, allowed_networks=(*config.egress.allowed_networks, _LOOPBACK))
        _run(reactor, evolve(config, egress=egress), options)


def _run(reactor: Any, config: Config, options: DemoOptions) -> None:
    signal_handler = SignalHandler(reactor)
    rng = random.Random(options.seed)
    tenants = make_tenants(rng, options.accounts)
    node = build_node(reactor, config, people=TenantPeople(tenants))
    service = NodeService(node, signal_handler.exit_with_error)
    demo = _DemoRunner(reactor, node, options, tenants, rng)
    signal_handler.install(service.force_shutdown)

    def on_failed(failure: Failure) -> None:
        signal_handler.exit_with_error(f"the demo cannot start: {failure.getErrorMessage()}")

    def start() -> None:
        started = service.when_started()
        started.addCallback(lambda _: Deferred.fromCoroutine(demo.start())).addErrback(on_failed)
        service.startService()

    # The same triggers as under twistd.
    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", demo.stop)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run(installSignalHandlers=True)


class _DemoRunner:
    """The demo's accounts, hook, receiver and switch, on a running node."""

    def __init__(
        self, reactor: Any, node: Node, options: DemoOptions, tenants: Sequence[Tenant], rng: random.Random
    ) -> None:
        self._reactor = reactor
        self._node = node
        self._options = options
        self._tenants = tenants
        self._rng = rng
        self._services = MultiService()

    async def start(self) -> None:
        """Create accounts, tokens and a hook, start receiver and switch, and print an introduction."""
        rng, tenants = self._rng, self._tenants
        credentials = await self._create_accounts(tenants)
        port = await TCP4ServerEndpoint(self._reactor, 0, interface="127.0.0.1").listen(
            Site(WebhookPrinter(sys.stdout))
        )
        hook = await self._node.webhooks.hooks.create(
            tenants[0].id,
            {
                "name": "demo receiver",
                "uri": f"http://127.0.0.1:{port.getHost().port}/hooks",
                "hook": "all",
                "include_subaccounts": True,
            },
        )
        route = await self._create_pivot_point(tenants[0])
        Switchboard(
            self._reactor, self._node.bus, tenants, self._options, rng, _print, [route]
        ).setServiceParent(self._services)
        self._print_introduction(credentials, hook, route.party)
        self._services.startService()

    async def _create_accounts(self, tenants: Sequence[Tenant]) -> list[_Credentials]:
        """Create the accounts, and credentials for the reseller and its first sub-account."""
        reseller = tenants[0]
        for tenant in tenants:
            parent_id = None if tenant is reseller else reseller.id
            await self._node.accounts.create(
                tenant.id, parent_id=parent_id, name=tenant.name, realm=tenant.realm
            )
        await self._node.directory.load()
        tokens = self._node.tokens
        return [
            _Credentials(
                tenant, (await tokens.create(tenant.id)).token, await tokens.create_api_key(tenant.id)
            )
            for tenant in tenants[:2]
        ]

    async def _create_pivot_point(self, tenant: Tenant) -> PivotRoute:
        """Let clients say where the calls to the tenant's front desk go; without an answer it rings."""
        mailbox = {"module": "voicemail", "data": {"id": tenant.mailbox_id}}
        desk = {"module": "user", "data": {"id": tenant.receptionist.user_id}, "children": {"_": mailbox}}
        document = {"name": "front-desk", "timeout_ms": _PIVOT_TIMEOUT_MS, "fallback": desk}
        point = await self._node.pivots.create(tenant.id, document)
        url = f"http://{self._node.http_host}{PIVOT_PATH}{point.id}/{point.secret}"
        return PivotRoute(tenant, url, _post_form)

    def stop(self) -> Deferred[None] | None:
        """Stop the switch."""
        return self._services.stopService() if self._services.running else None

    def _print_introduction(self, credentials: Sequence[_Credentials], hook: StoredHook, desk: Party) -> None:
        address = f"http://{self._node.http_host}"
        options, (reseller, sub) = self._options, credentials
        _print(
            f"""
kazoo_bridge is running with a simulated switch that makes {options.calls_per_minute:g} calls a minute,
at most {options.max_calls} at a time. There are a reseller with {options.accounts - 1} sub-accounts, tokens,
and a hook of the reseller for all of them ({hook.id}).
A small web server prints the webhooks that it receives. The switch executes commands to its calls
and prints them. It asks the pivot point "front-desk" of the reseller where calls to {desk.number} go:
press "Ask me" in the console to say that. Press Ctrl-C to stop; nothing is kept.

  console  {address}/console/
  REST     {address}/v2/accounts/{reseller.tenant.id}/webhooks
  health   {address}/readyz
  try      curl -H 'X-Auth-Token: {reseller.token}' {address}/v2/accounts/{reseller.tenant.id}/webhooks

{reseller.describe("the reseller")}
{sub.describe("a sub-account")}"""
        )


@frozen
class _Credentials:
    """An account with a token and an API key."""

    tenant: Tenant
    token: str
    api_key: str

    def describe(self, role: str) -> str:
        return f"""  {self.tenant.name}, {role}
  realm    {self.tenant.realm}
  account  {self.tenant.id}
  token    {self.token}
  api key  {self.api_key}
"""


async def _post_form(url: str, form: Mapping[str, str]) -> bytes:
    """Post a form like KAZOO, and return the body of the answer."""
    response = await treq.post(url, data=dict(form), timeout=_REQUEST_TIMEOUT, persistent=False)
    body: bytes = await response.content()
    if response.code != http.OK:
        raise ConnectionError(f"HTTP status {response.code}")
    return body


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
