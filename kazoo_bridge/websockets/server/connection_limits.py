"""Which clients may connect: their address, number, origin and sub-protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from attrs import define, field

from kazoo_bridge.config import Websockets
from kazoo_bridge.connection_counter import ConnectionCounter, ConnectionLimitReached
from kazoo_bridge.interfaces import HandshakeRejected

Network = IPv4Network | IPv6Network

#: The project's sub-protocol. It changes nothing in the protocol.
SUBPROTOCOL = "kazoo-bridge.v1"

#: Handshakes that may be in progress at once, besides the established connections.
MAX_HANDSHAKES = 1000


@define(eq=False)
class AdmissionControl:
    """Admits clients within limits.

    `origins` are the permitted origins of web pages, with the wildcards of `fnmatch`. `trusted_proxies`
    are the networks of proxies whose ``X-Forwarded-For`` is believed. `handshakes` counts the handshakes
    in progress.
    """

    connections: ConnectionCounter
    origins: Sequence[str]
    trusted_proxies: Sequence[Network]
    max_handshakes: int = MAX_HANDSHAKES
    handshakes: int = field(init=False, default=0)

    @classmethod
    def from_config(cls, config: Websockets) -> AdmissionControl:
        """Take limits, origins and proxies from the configuration."""
        return cls(
            ConnectionCounter(config.max_connections, config.max_connections_per_ip),
            config.allowed_origins,
            [ip_network(network) for network in config.trusted_proxies],
        )

    def client_address(self, peer: str, headers: Mapping[str, str]) -> str:
        """Return the client's address: the last hop that is not a trusted proxy.

        `peer` is the other end of the TCP connection; `headers` have lower-case names.
        """
        hops = [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",") if hop.strip()]
        address = peer
        while hops and self._is_trusted(address):
            address = _without_port(hops.pop())
        return address

    def handshake_started(self) -> bool:
        """Count a handshake; returns False, and counts nothing, if `max_handshakes` are in progress."""
        if self.handshakes >= self.max_handshakes:
            return False
        self.handshakes += 1
        return True

    def handshake_finished(self) -> None:
        """Forget a counted handshake: the request has arrived, or the connection is lost."""
        self.handshakes -= 1

    def acquire(self, address: str, origin: str | None) -> None:
        """Count a connection; raises `HandshakeRejected`, and counts nothing, if it is not admitted.

        `address` is the result of `client_address`, `origin` the header of that name, which browsers send.
        """
        if origin and not any(fnmatchcase(origin.lower(), allowed.lower()) for allowed in self.origins):
            raise HandshakeRejected(403, "the origin is not allowed")
        try:
            self.connections.acquire(address)
        except ConnectionLimitReached as error:
            raise HandshakeRejected(429 if error.per_network else 503, str(error)) from None

    def release(self, address: str) -> None:
        """Forget a connection that `acquire` has counted."""
        self.connections.release(address)

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        # A dual-stack socket shows IPv4 peers as mapped IPv6 addresses.
        plain = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(plain in network for network in self.trusted_proxies)


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
