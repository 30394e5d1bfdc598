"""Which addresses webhooks may go to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from attrs import frozen

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: For prefixes of one's own; those of 96 bits, the usual ones, end with the IPv4 address.
_OWN_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")
_TRANSLATED = ipaddress.IPv6Network("::ffff:0:0:0/96")


class EgressDenied(Exception):
    """The operator does not let webhooks go to that address."""


@frozen
class EgressPolicy:
    """Denied networks, and exceptions to them."""

    denied: Sequence[Network]
    allowed: Sequence[Network]

    @classmethod
    def from_config(cls, denied: Iterable[str], allowed: Iterable[str]) -> EgressPolicy:
        """Parse networks that the configuration has checked."""
        return cls(tuple(map(ipaddress.ip_network, denied)), tuple(map(ipaddress.ip_network, allowed)))

    def permits(self, address: str) -> bool:
        """Whether webhooks may go to this numeric address.

        An IPv6 address that leads on to an IPv4 one (by translation or in a tunnel) must be permitted itself, and so must that one.
        """
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv4Address):
            return self._permits(parsed)
        if parsed.ipv4_mapped is not None:
            # Nothing but another spelling of the IPv4 address.
            return self._permits(parsed.ipv4_mapped)
        return self._permits(parsed) and all(map(self._permits, _embedded_ipv4(parsed)))

    def _permits(self, address: Address) -> bool:
        if any(address in network for network in self.allowed):
            return True
        return not any(address in network for network in self.denied)


def _embedded_ipv4(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that packets to this address may end up at."""
    carried = []
    if any(address in network for network in (_NAT64, _OWN_NAT64, _TRANSLATED)) or (
        address in _IPV4_COMPATIBLE and int(address) > 1
    ):
        carried.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour is not None:
        carried.append(address.sixtofour)
    if address.teredo is not None:
        carried.extend(address.teredo)
    return carried
