"""Assembles the way to receivers: where hooks may go, TLS, proxy, connection pool and sender."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from attrs import define

from kazoo_bridge.config import Config
from kazoo_bridge.webhooks.egress import (
    CoalescingResolver,
    ConnectionPool,
    EgressPolicy,
    Proxy,
    ThreadedResolver,
    TlsClient,
    denial_reason,
    guarded_agent,
)
from kazoo_bridge.webhooks.hooks.hook_service import UriCheck
from kazoo_bridge.webhooks.http.sender import Sender

#: Seconds within which the host of a new hook's URI, or of a command's, must be looked up.
_URI_CHECK_TIMEOUT = 2.0

#: Hosts of new hooks, and of commands, that are looked up at the same time.
_URI_CHECK_THREADS = 10


@define(eq=False)
class HookHttpClient:
    """The way to receivers: `sender` makes requests, `check_uri` says why a URI may not be a hook's.

    `check_command_url` says why a command may not make the switch request a URL. The switch's connection is
    not judged again, so a host that cannot be looked up is refused.
    """

    sender: Sender
    check_uri: UriCheck
    check_command_url: UriCheck
    _pool: ConnectionPool
    _resolvers: Sequence[ThreadedResolver]

    @classmethod
    def from_config(cls, reactor: Any, config: Config) -> HookHttpClient:
        """Build it of the sections ``[egress]`` and ``[webhooks]``."""
        egress, webhooks = config.egress, config.webhooks
        policy = EgressPolicy.from_config(egress.denied_networks, egress.allowed_networks)
        # Separate threads: slow look-ups for new hooks delay neither deliveries nor other look-ups.
        for_checks = ThreadedResolver(reactor, _URI_CHECK_THREADS)
        for_requests = ThreadedResolver(reactor, webhooks.max_requests)
        agent, pool = guarded_agent(
            reactor,
            policy,
            webhooks.connect_timeout_ms / 1000,
            tls=TlsClient.from_config(egress.ca_bundle, egress.client_certificate, egress.client_key),
            proxy=Proxy.from_config(egress.proxy),
            resolver=for_requests,
            idle_timeout=webhooks.keep_alive_s,
            max_idle_connections=webhooks.max_requests,
        )
        sender = Sender(
            reactor,
            agent,
            webhooks.request_timeout_ms / 1000,
            webhooks.log_successful_attempts,
            egress.max_redirects,
            pool,
            egress.redirect_bodies,
        )
        for_commands = ThreadedResolver(reactor, _URI_CHECK_THREADS)
        check_uri = partial(
            denial_reason, reactor, CoalescingResolver(for_checks), policy, timeout=_URI_CHECK_TIMEOUT
        )
        check_command_url = partial(
            denial_reason,
            reactor,
            CoalescingResolver(for_commands),
            policy,
            timeout=_URI_CHECK_TIMEOUT,
            must_resolve=True,
        )
        return cls(sender, check_uri, check_command_url, pool, [for_checks, for_requests, for_commands])

    async def close(self) -> None:
        """Close idle connections and end the threads."""
        for resolver in self._resolvers:
            resolver.stop()
        await self._pool.close()
