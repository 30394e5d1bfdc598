"""Decides which addresses webhooks may connect to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from attrs import frozen

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: RFC 6052: the IPv4 address is the last 32 bits.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: RFC 8215: prefixes that an operator chooses. With the usual length of 96 bits the IPv4 address comes last.
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
#: RFC 4291, deprecated.
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")
#: RFC 2765 (SIIT).
_IPV4_TRANSLATED = ipaddress.IPv6Network("::ffff:0:0:0/96")


class EgressDenied(Exception):
    """The operator's policy denies every address of the host. The text names no address."""


@frozen
class EgressPolicy:
    """Networks that are denied, and networks that are permitted although they are in a denied one."""

    denied: Sequence[Network]
    allowed: Sequence[Network]

    @classmethod
    def from_config(cls, denied: Iterable[str], allowed: Iterable[str]) -> EgressPolicy:
        """Parse the networks of ``egress.denied_networks`` and ``egress.allowed_networks``.

        Raises ValueError for a text that is no network; the configuration has checked them.
        """
        return cls(tuple(map(ipaddress.ip_network, denied)), tuple(map(ipaddress.ip_network, allowed)))

    def permits(self, address: str) -> bool:
        """Return whether webhooks may connect to `address`, an IPv4 or IPv6 address as text.

        An address is permitted if it is in an allowed network or in no denied one. An IPv4-mapped IPv6
        address is judged as the IPv4 address. Any other IPv6 address that contains an IPv4 address (NAT64,
        SIIT, 6to4, Teredo, IPv4-compatible) is permitted only if both addresses are. A zone (``%eth0``) is
        ignored; a text that is no address is denied.
        """
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv4Address):
            return self._permits(parsed)
        if parsed.ipv4_mapped is not None:
            return self._permits(parsed.ipv4_mapped)
        return self._permits(parsed) and all(map(self._permits, _embedded_ipv4(parsed)))

    def _permits(self, address: Address) -> bool:
        if any(address in network for network in self.allowed):
            return True
        return not any(address in network for network in self.denied)


def _embedded_ipv4(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 addresses that a translator or tunnel may forward packets for `address` to."""
    embedded = []
    if any(address in network for network in (_NAT64, _LOCAL_NAT64, _IPV4_TRANSLATED)) or (
        address in _IPV4_COMPATIBLE and int(address) > 1  # not :: and ::1
    ):
        embedded.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour is not None:
        embedded.append(address.sixtofour)
    if address.teredo is not None:
        embedded.extend(address.teredo)
    return embedded
