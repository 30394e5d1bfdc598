"""Internet addresses: what is one, and what of it limits count."""

from __future__ import annotations

import ipaddress


def is_ip_address(host: str) -> bool:
    """Whether it is an IPv4 or IPv6 address, and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def rate_limit_key(address: object) -> str:
    """What stands for a peer, an `IAddress`: IPv4 addresses alone, IPv6 ones with all of their /64, which one host has for itself.

    Peers without an address, such as those on a UNIX socket, are one.
    """
    return rate_limit_network(str(getattr(address, "host", None) or "local"))


def rate_limit_network(host: str) -> str:
    """The same for an address as text."""
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(parsed, ipaddress.IPv4Address):
        return host
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
