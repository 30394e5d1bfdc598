"""Which clients may connect: their address, number, origin and sub-protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from ipaddress import ip_network

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.config import Websockets
from kazoo_bridge.connection_counter import ConnectionCounter, ConnectionLimitReached
from kazoo_bridge.interfaces import HandshakeRejected
from kazoo_bridge.ip_addresses import Network, is_in_networks
from kazoo_bridge.log_throttle import LogThrottle
from kazoo_bridge.websockets.server.address_budget import (
    BYTES_PER_FRAME,
    CONNECTION_COST,
    FAILURE_COST,
    HANDSHAKE_COST,
    AddressBudget,
)
from kazoo_bridge.websockets.server.unauthenticated import (
    UnauthenticatedConnection,
    UnauthenticatedConnections,
)

_log = Logger()

#: The project's sub-protocol. It changes nothing in the protocol.
SUBPROTOCOL = "kazoo-bridge.v1"


@define(eq=False)
class AdmissionControl:
    """Admits clients within limits.

    `unauthenticated` holds the connections whose clients have not authenticated yet, `budget` bounds what
    these may cost. `origins` are the permitted origins of web pages, with the wildcards of `fnmatch`.
    `trusted_proxies` are the networks of proxies whose ``X-Forwarded-For`` is believed. `refused`
    counts the connections that were not admitted because of a limit, by reason.
    """

    connections: ConnectionCounter
    unauthenticated: UnauthenticatedConnections
    budget: AddressBudget
    origins: Sequence[str]
    trusted_proxies: Sequence[Network]
    _clock: IReactorTime
    refused: Counter[str] = field(init=False, factory=Counter)
    _log_throttle: LogThrottle = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._log_throttle = LogThrottle(self._clock, self._log_refused)

    @classmethod
    def from_config(cls, clock: IReactorTime, config: Websockets) -> AdmissionControl:
        """Take limits, origins and proxies from the configuration."""
        per_address = config.max_connections_per_ip
        return cls(
            connections=ConnectionCounter(config.max_connections, per_address),
            unauthenticated=UnauthenticatedConnections(
                config.max_unauthenticated, config.max_unauthenticated_per_ip if per_address else 0
            ),
            budget=AddressBudget(clock, enabled=bool(per_address)),
            origins=config.allowed_origins,
            trusted_proxies=[ip_network(network) for network in config.trusted_proxies],
            clock=clock,
        )

    def configure(self, config: Websockets) -> None:
        """Take limits, origins and proxies from the configuration, for new connections."""
        self.connections.max_total = config.max_connections
        self.connections.max_per_network = config.max_connections_per_ip
        self.budget.enabled = bool(config.max_connections_per_ip)
        self.origins = config.allowed_origins
        self.trusted_proxies = [ip_network(network) for network in config.trusted_proxies]

    def client_address(self, peer: str, headers: Mapping[str, str]) -> str:
        """Return the client's address: the last hop that is not a trusted proxy.

        `peer` is the other end of the TCP connection; `headers` have lower-case names.
        """
        hops = [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",") if hop.strip()]
        address = peer
        while hops and self.is_trusted_proxy(address):
            address = _without_port(hops.pop())
        return address

    def connected(self, peer: str, drop: Callable[[], None]) -> Admission:
        """Hold a new TCP connection; may drop another one. `drop` aborts the new one."""
        is_proxy = self.is_trusted_proxy(peer)
        return Admission(self, self.unauthenticated.add(peer, drop, is_proxy=is_proxy), peer)

    def acquire(self, address: str, origin: str | None) -> None:
        """Count a connection; raises `HandshakeRejected`, and counts nothing, if it is not admitted.

        `address` is the result of `client_address`, `origin` the header of that name, which browsers send.
        """
        if origin and not any(fnmatchcase(origin.lower(), allowed.lower()) for allowed in self.origins):
            raise HandshakeRejected(403, "the origin is not allowed")
        try:
            self.connections.acquire(address)
        except ConnectionLimitReached as error:
            self._count_refused("address" if error.per_network else "total", address)
            raise HandshakeRejected(429 if error.per_network else 503, str(error)) from None

    def release(self, address: str) -> None:
        """Forget a connection that `acquire` has counted."""
        self.connections.release(address)

    def stop(self) -> None:
        """Leave no delayed call."""
        self._log_throttle.stop()

    def afford_connection(self, peer: str) -> bool:
        """Count the cost of a TCP connection; returns False, and counts a refusal, if it is too much.

        The connections of a trusted proxy cost it nothing.
        """
        if self.is_trusted_proxy(peer) or self.budget.take(peer, CONNECTION_COST):
            return True
        self._count_refused("rate", peer)
        return False

    def afford_handshake(self, address: str) -> bool:
        """Count the cost of a handshake; returns False, and counts a refusal, if it is too much."""
        if self.budget.take(address, HANDSHAKE_COST):
            return True
        self._count_refused("rate", address)
        return False

    def _count_refused(self, reason: str, address: str) -> None:
        self.refused[reason] += 1
        self._log_throttle.count(address)

    def _log_refused(self, count: int, address: str) -> None:
        _log.warn(
            "websockets refused count={count} address={address} open={open}: see"
            " websockets.max_connections_per_ip, websockets.max_connections and, behind a proxy,"
            " websockets.trusted_proxies",
            count=count,
            address=address,
            open=self.connections.total,
        )

    def is_trusted_proxy(self, address: str) -> bool:
        """Return whether an address is in `trusted_proxies`."""
        return bool(self.trusted_proxies) and is_in_networks(address, self.trusted_proxies)


@define(eq=False)
class Admission:
    """What one connection counts as, from the TCP connection to its end.

    `address` is the client's as far as it is known: a proxy's at first, see `handshake_begun` and `admit`.
    """

    _control: AdmissionControl
    _place: UnauthenticatedConnection
    address: str
    _is_counted: bool = field(init=False, default=False)

    def handshake_begun(self, peer: str) -> bool:
        """Count the cost of a handshake; returns False if the connection is to be dropped.

        With the PROXY protocol, `peer` is the client from the first bytes on.
        """
        is_proxy = self._control.is_trusted_proxy(peer)
        self._move(peer, is_proxy=is_proxy)
        return is_proxy or self._control.afford_handshake(peer)

    def admit(self, address: str, origin: str | None) -> None:
        """Count a websocket whose handshake has arrived; see `AdmissionControl.acquire`."""
        if self._place.is_proxy and not self._control.afford_handshake(address):
            raise HandshakeRejected(429, "too many connections from this address")
        self._control.acquire(address, origin)
        self._is_counted = True
        self._move(address, is_proxy=False)

    def charge_frame(self, size: int = 0) -> bool:
        """Count a frame of `size` bytes of the client, which is not authenticated.

        Returns False if there are too many, or they are too large together.
        """
        return self._control.budget.take(self.address, 1 + size // BYTES_PER_FRAME)

    def may_authenticate(self) -> bool:
        """Return whether a token may be looked up: the address has not sent too many that are not valid."""
        return self._control.budget.has_room(self.address)

    def charge_failure(self) -> None:
        """Count the cost of a token that is not valid."""
        self._control.budget.take(self.address, FAILURE_COST)

    def authenticated(self) -> None:
        """Note that the client has authenticated."""
        self._control.unauthenticated.remove(self._place)

    def closed(self) -> None:
        """Count the connection no more: its descriptor is free."""
        self._control.unauthenticated.remove(self._place)
        if self._is_counted:
            self._is_counted = False
            self._control.release(self.address)

    def _move(self, address: str, *, is_proxy: bool) -> None:
        self.address = address
        self._control.unauthenticated.move(self._place, address, is_proxy=is_proxy)


def _without_port(hop: str) -> str:
    """Remove the port and brackets that some proxies add to an address."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def choose_subprotocol(offered: Sequence[str]) -> str | None:
    """Choose one of the sub-protocols that the client offers; None if it offers none.

    Raises `HandshakeRejected` if only others than `SUBPROTOCOL` are offered; KAZOO refuses all.
    """
    if not offered:
        return None
    if SUBPROTOCOL in offered:
        return SUBPROTOCOL
    raise HandshakeRejected(400, "no such sub-protocol")
