from __future__ import annotations

import ipaddress

import pytest

from kazoo_bridge.config import NON_PUBLIC_NETWORKS

NETWORKS = [ipaddress.ip_network(network) for network in NON_PUBLIC_NETWORKS]


def is_covered(host: str) -> bool:
    address = ipaddress.ip_address(host)
    return any(address in network for network in NETWORKS)


def test_each_network_is_listed_once() -> None:
    assert len(set(NETWORKS)) == len(NON_PUBLIC_NETWORKS)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.31.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "168.63.129.16",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fc00::1",
        "fe80::1",
        "ff02::1",
        "4000::1",
        "2002::1",
    ],
)
def test_addresses_that_are_not_public(host: str) -> None:
    assert is_covered(host)


@pytest.mark.parametrize("host", ["1.1.1.1", "172.32.0.1", "192.169.0.1", "2606:4700::1111", "2a00:1450::1"])
def test_public_addresses(host: str) -> None:
    assert not is_covered(host)
