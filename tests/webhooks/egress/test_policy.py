from __future__ import annotations

import pytest

from kazoo_bridge.config import NON_PUBLIC_NETWORKS
from kazoo_bridge.webhooks.egress import EgressPolicy
from tests.webhooks.memory_agent import DEFAULT_POLICY


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "255.255.255.255", "224.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "not an address", "",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_denied_by_default(address: str) -> None:
    assert not DEFAULT_POLICY.permits(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_permitted_by_default(address: str) -> None:
    assert DEFAULT_POLICY.permits(address)


def test_an_allowed_network_overrides_a_denied_one() -> None:
    policy = EgressPolicy.from_config(NON_PUBLIC_NETWORKS, ["127.0.0.0/8"])
    assert policy.permits("127.0.0.1")
    assert policy.permits("::ffff:127.0.0.1")
    assert not policy.permits("10.0.0.1")


def test_nothing_is_denied_without_denied_networks() -> None:
    assert EgressPolicy.from_config([], []).permits("127.0.0.1")


@pytest.mark.parametrize(
    ("address", "allowed", "permitted"),
    [
        ("64:ff9b::808:808", ["64:ff9b::/96"], True),
        ("64:ff9b::7f00:1", ["64:ff9b::/96"], False),
        ("2002:7f00:1::", ["2002::/16"], False),
        ("2002:808:808::", ["2002::/16"], True),
        ("2001:0:808:808:0:0:f5ff:fffe", ["2001::/32"], False),
        ("64:ff9b:1::7f00:1", ["64:ff9b:1::/48"], False),
        ("64:ff9b:1::808:808", ["64:ff9b:1::/48"], True),
        ("::ffff:0:10.0.0.1", ["::/3"], False),
        ("::127.0.0.1", ["::/96"], False),
        ("::1", ["::1/128"], True),
        ("::1", ["127.0.0.0/8"], False),
    ],
)
def test_an_embedded_ipv4_address_must_be_permitted_too(
    address: str, allowed: list[str], permitted: bool
) -> None:
    assert EgressPolicy.from_config(NON_PUBLIC_NETWORKS, allowed).permits(address) is permitted


def test_a_text_that_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="300"):
        EgressPolicy.from_config(["300.0.0.0/8"], [])
