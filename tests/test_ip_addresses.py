from __future__ import annotations

from ipaddress import ip_network

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from kazoo_bridge.ip_addresses import address_group, is_in_networks, is_ip_address, rate_limit_key


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"])
def test_addresses(host: str) -> None:
    assert is_ip_address(host)


@pytest.mark.parametrize("host", ["", "localhost", "192.0.2", "192.0.2.256", "[::1]", "192.0.2.1:80"])
def test_names_and_other_texts_are_no_addresses(host: str) -> None:
    assert not is_ip_address(host)


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("local", "local"),
        ("", ""),
    ],
)
def test_the_network_that_a_limit_counts(host: str, network: str) -> None:
    assert address_group(host) == network


@pytest.mark.parametrize(
    ("address", "key"),
    [
        (IPv4Address("TCP", "192.0.2.1", 80), "192.0.2.1"),
        (IPv6Address("TCP", "2001:db8::7", 80), "2001:db8::/64"),
        (UNIXAddress("/run/socket"), "local"),
        (None, "local"),
    ],
)
def test_the_key_of_a_peer(address: object, key: str) -> None:
    assert rate_limit_key(address) == key


@pytest.mark.parametrize(
    ("host", "is_in"),
    [
        ("192.0.2.1", True),
        ("::ffff:192.0.2.1", True),
        ("2001:db8::1", True),
        ("192.0.3.1", False),
        ("2001:db9::1", False),
        ("local", False),
    ],
)
def test_an_address_is_in_networks(host: str, is_in: bool) -> None:
    assert is_in_networks(host, [ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")]) is is_in
