"""Who may connect: from where, how many, and with what origin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from attrs import define, field

from kazoo_bridge.interfaces import HandshakeRejected as HandshakeRejected
from kazoo_bridge.ip_addresses import rate_limit_network

Network = IPv4Network | IPv6Network

#: Our own sub-protocol. It changes nothing; those who ask for it know that they talk to us.
SUBPROTOCOL = "kazoo-bridge.v1"


@define(eq=False)
class AdmissionControl:
    """Counts connections by address. 0: no bound. `trusted` are the networks of proxies whose ``X-Forwarded-For`` is believed.

    On top of the connections, `most_arriving` handshakes may be under way; `arriving` counts them.
    """

    per_address: int
    total: int
    origins: Sequence[str]
    trusted: Sequence[Network]
    max_handshakes: int = 1000
    handshakes: int = field(init=False, default=0)
    _connected: Counter[str] = field(init=False, factory=Counter)

    @classmethod
    def from_config(
        cls, per_address: int, in_all: int, origins: Sequence[str], trusted: Sequence[str]
    ) -> AdmissionControl:
        """With networks as the configuration has them."""
        return cls(per_address, in_all, origins, [ip_network(network) for network in trusted])

    @property
    def connected(self) -> int:
        """How many connections there are."""
        return self._connected.total()

    def address(self, peer: str, headers: Mapping[str, str]) -> str:
        """The client's address: the nearest one that no trusted proxy has."""
        hops = [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",") if hop.strip()]
        address = peer
        while hops and self._trusts(address):
            address = _strip_port(hops.pop())
        return address

    def handshake_started(self) -> bool:
        """Count a client that has not said yet what it wants; False, and it is not counted, when too many of them are waited for."""
        if self.handshakes >= self.max_handshakes:
            return False
        self.handshakes += 1
        return True

    def handshake_finished(self) -> None:
        """Undo `arrives`: it has said it, or has gone."""
        self.handshakes -= 1

    def acquire(self, address: str, origin: str | None) -> None:
        """Count a connection in; raises `HandshakeRejected`."""
        if origin and not any(fnmatchcase(origin.lower(), allowed.lower()) for allowed in self.origins):
            raise HandshakeRejected(403, "the origin is not allowed")
        if self.total and self.connected >= self.total:
            raise HandshakeRejected(503, "too many connections")
        counted = rate_limit_network(address)
        if self.per_address and self._connected[counted] >= self.per_address:
            raise HandshakeRejected(429, "too many connections from this address")
        self._connected[counted] += 1

    def release(self, address: str) -> None:
        """Undo `admit`."""
        counted = rate_limit_network(address)
        self._connected[counted] -= 1
        if self._connected[counted] <= 0:
            del self._connected[counted]

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        # A socket for both kinds of addresses shows IPv4 ones as IPv6.
        plain = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(plain in network for network in self.trusted)


def _strip_port(hop: str) -> str:
    """An address without the port or the brackets that some proxies write."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def choose_subprotocol(offered: Sequence[str]) -> str | None:
    """The one to speak; raises `HandshakeRejected` where only others are offered, as KAZOO does for any."""
    if not offered:
        return None
    if SUBPROTOCOL in offered:
        return SUBPROTOCOL
    raise HandshakeRejected(400, "no such sub-protocol")
