from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs

from kazoo_bridge.config import Http
from kazoo_bridge.ip_addresses import Network
from kazoo_bridge.rest.server.connection_budget import ConnectionBudget, RefusedConnection
from tests.config.files import make_certificate

PEER = IPv4Address("TCP", "192.0.2.1", 40_000)
OTHER = IPv4Address("TCP", "192.0.2.2", 40_000)


def make_budget(
    clock: Clock | None = None, proxies: tuple[Network, ...] = (), **http: Any
) -> ConnectionBudget:
    return ConnectionBudget.from_config(clock or Clock(), evolve(Http(), **http), proxies)


def count_accepted(budget: ConnectionBudget, peer: object, tries: int = 1000) -> int:
    return sum(budget.accepts(peer) for _ in range(tries))


def test_an_address_may_open_so_many_connections_at_once_and_each_second() -> None:
    clock = Clock()
    budget = make_budget(clock)
    assert count_accepted(budget, PEER) == 200
    assert count_accepted(budget, OTHER) == 200
    clock.advance(2)
    assert count_accepted(budget, PEER) == 100
    assert budget.refused == 2 * 800 + 900
    budget.stop()
    assert clock.getDelayedCalls() == []


def test_a_client_that_connects_for_each_request_at_the_rate_is_never_refused() -> None:
    clock = Clock()
    budget = make_budget(clock)
    for _ in range(2000):
        assert budget.accepts(PEER)
        clock.advance(0.02)


def test_the_addresses_of_one_ipv6_network_count_together() -> None:
    budget = make_budget(connection_burst=10)
    peers = [IPv6Address("TCP", f"2001:db8::{number}", 40_000) for number in range(1, 21)]
    assert sum(map(budget.accepts, peers)) == 10
    assert budget.accepts(IPv6Address("TCP", "2001:db8:0:1::1", 40_000))
    budget.stop()


@pytest.mark.parametrize("http", [{"connections_per_second": 0}, {"max_connections_per_ip": 0}])
def test_without_a_limit_all_are_accepted(http: dict[str, Any]) -> None:
    assert count_accepted(make_budget(**http), PEER) == 1000


@pytest.mark.parametrize("host", ["192.0.2.7", "::ffff:192.0.2.7"])
def test_trusted_proxies_are_not_counted(host: str) -> None:
    budget = make_budget(proxies=(ip_network("192.0.2.7/32"),))
    assert count_accepted(budget, IPv4Address("TCP", host, 40_000)) == 1000
    assert count_accepted(budget, PEER) == 200
    budget.stop()


def test_the_clients_of_a_unix_socket_are_not_counted() -> None:
    assert count_accepted(make_budget(), UNIXAddress("/run/http.sock")) == 1000


def test_behind_the_proxy_protocol_the_client_is_counted_with_its_first_bytes() -> None:
    budget = make_budget(endpoint="haproxy:tcp:8000")
    assert count_accepted(budget, PEER) == 1000
    assert sum(budget.admits(OTHER) for _ in range(1000)) == 200
    budget.stop()


def test_a_connection_is_counted_once() -> None:
    budget = make_budget(connection_burst=1)
    assert budget.accepts(PEER)
    assert budget.admits(PEER)
    budget.stop()


def test_only_plain_endpoints_accept_that_no_protocol_is_built(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "here")
    assert make_budget(endpoint="tcp:8000").is_plain
    assert not make_budget(endpoint=f"ssl:8443:certKey={certificate}:privateKey={key}").is_plain


def test_refusals_are_logged_together() -> None:
    clock = Clock()
    budget = make_budget(clock, connection_burst=1)
    with capturedLogs() as logs:
        count_accepted(budget, PEER, 100)
        clock.advance(60)
    assert [event["count"] for event in logs] == [1, 98]
    budget.stop()


def test_a_refused_connection_is_aborted() -> None:
    transport = StringTransport()
    RefusedConnection().makeConnection(transport)
    assert transport.disconnected
    assert transport.value() == b""
