"""How many new connections the HTTP server accepts of a client: each costs as much as a request.

A connection beyond that is closed when it is accepted, before anything is received from it. Behind a proxy
that speaks the PROXY protocol, the client's address arrives with the first bytes, and it is counted then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from attrs import define, field
from twisted.internet.interfaces import IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.logger import Logger

from kazoo_bridge.config import Http
from kazoo_bridge.ip_addresses import Network, is_in_networks, rate_limit_key
from kazoo_bridge.log_throttle import LogThrottle
from kazoo_bridge.token_bucket import KeyedTokenBuckets

_log = Logger()

#: Endpoints that hand an accepted connection to the site as it is, without a protocol around the site's own.
_PLAIN_ENDPOINTS = ("tcp", "tcp6", "unix", "systemd")

_PROXY_PROTOCOL_ENDPOINT = "haproxy"


@define(eq=False)
class ConnectionBudget:
    """One `TokenBucket` for the new connections of each address, with `burst` at once and `per_second`.

    `per_second` 0: no limit. An address is what `rate_limit_key` returns. `exempt` are the networks of
    proxies, whose connections are those of many clients; a UNIX socket is a proxy's, too. `arrives_late`:
    the endpoint speaks the PROXY protocol, so that the peer of a new connection is not the client.
    `is_plain`: the endpoint accepts that no protocol is built for a connection. Refused connections are
    logged at most every minute.
    """

    _clock: IReactorTime
    per_second: int
    burst: int
    exempt: Sequence[Network] = ()
    arrives_late: bool = False
    is_plain: bool = True
    _buckets: KeyedTokenBuckets = field(init=False)
    _refusals: LogThrottle = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._buckets = KeyedTokenBuckets(self._clock, self.burst, 1 / (self.per_second or 1))
        self._refusals = LogThrottle(self._clock, self._log_refusals)

    @classmethod
    def from_config(
        cls, clock: IReactorTime, http: Http, proxies: Sequence[Network] = ()
    ) -> ConnectionBudget:
        """Return the budget of the configuration; `proxies` are the networks of trusted proxies."""
        endpoint = http.endpoint.partition(":")[0]
        # Without a limit by address, all clients are expected behind one.
        per_second = http.connections_per_second if http.max_connections_per_ip else 0
        return cls(
            clock,
            per_second,
            http.connection_burst,
            proxies,
            arrives_late=endpoint == _PROXY_PROTOCOL_ENDPOINT,
            is_plain=endpoint in _PLAIN_ENDPOINTS,
        )

    def configure(self, http: Http) -> None:
        """Use the rate of the configuration from now on."""
        self.per_second = http.connections_per_second if http.max_connections_per_ip else 0
        self.burst = http.connection_burst
        self._buckets.change_rate(self.burst, 1 / (self.per_second or 1))

    @property
    def refused(self) -> int:
        """How many connections were refused."""
        return self._refusals.total

    def accepts(self, peer: object) -> bool:
        """Count a connection that is accepted from `peer`, an `IAddress`; returns whether it may stay."""
        return self.arrives_late or self._take(peer)

    def admits(self, peer: object) -> bool:
        """Count a connection whose first bytes have arrived, unless `accepts` has; returns whether it may
        stay."""
        return not self.arrives_late or self._take(peer)

    def stop(self) -> None:
        """Leave no delayed call."""
        self._refusals.stop()

    def _take(self, peer: object) -> bool:
        host = getattr(peer, "host", None)
        if not self.per_second or not host:
            return True
        key = rate_limit_key(peer)
        if not self._buckets.take(key) or is_in_networks(str(host), self.exempt):
            return True
        self._refusals.count(key)
        return False

    def _log_refusals(self, count: int, address: str) -> None:
        _log.warn(
            "new HTTP connections refused count={count} address={address}: see http.connections_per_second"
            " and, behind a proxy, websockets.trusted_proxies",
            count=count,
            address=address,
        )


class RefusedConnection(Protocol):
    """A connection that is aborted at once, where the endpoint needs a protocol."""

    def connectionMade(self) -> None:
        """Abort the connection."""
        cast(ITCPTransport, self.transport).abortConnection()
