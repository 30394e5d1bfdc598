"""IP addresses: recognises them, and reduces them to what rate limits count."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_ip_address(host: str) -> bool:
    """Return True if `host` is an IPv4 or IPv6 address, False if it is a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_in_networks(host: str, networks: Iterable[Network]) -> bool:
    """Return whether an address is in one of the networks; False for text that is not an address.

    An IPv4-mapped IPv6 address, as a dual-stack socket shows IPv4 peers, counts as the IPv4 address.
    """
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return False
    plain = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(plain in network for network in networks)


def rate_limit_key(address: object) -> str:
    """Return what stands for a peer in rate limits and connection limits.

    `address` is an `IAddress`. The result is that of `address_group` for its host. All peers without a
    host, such as those on a UNIX socket, share the key ``local``.
    """
    return address_group(str(getattr(address, "host", None) or "local"))


#: A connection asks for its group several times.
@lru_cache(maxsize=4096)
def address_group(address: str) -> str:
    """Return the network that limits count an address under, as text.

    An IPv4 address stands for itself. An IPv6 address stands for its /64, because one host can use all of
    that; an IPv4-mapped one stands for the IPv4 address. Text that is not an address is returned as it is.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
