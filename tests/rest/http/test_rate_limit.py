from __future__ import annotations

import pickle
from typing import Any

import pytest
import pytest_twisted
from attrs import asdict
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock

from kazoo_bridge.config import Http
from kazoo_bridge.rest.http.rate_limit import WRITE_COST, LoginThrottle, RequestLimiter
from kazoo_bridge.token_bucket import MAX_KEYS
from tests.rest.harness import ACCOUNT, RestHarness, hooks_path

HERE = IPv4Address("TCP", "192.0.2.1", 40_000)


def there(number: int) -> IPv4Address:
    return IPv4Address("TCP", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 40_000)


def test_a_burst_and_then_so_many_a_second() -> None:
    clock = Clock()
    rates = RequestLimiter(clock, per_second=2, burst=3)
    assert [rates.take(None, HERE) for _ in range(4)] == [0, 0, 0, 1]
    assert rates.take(None, IPv4Address("TCP", "192.0.2.2", 1)) == 0
    clock.advance(0.5)
    assert [rates.take(None, HERE) for _ in range(2)] == [0, 1]
    clock.advance(1000)
    assert [rates.take(None, HERE) for _ in range(4)] == [0, 0, 0, 1]


def test_a_good_token_counts_for_itself_wherever_it_comes_from() -> None:
    rates = RequestLimiter(Clock(), per_second=1, burst=2)
    rates.on_authenticated("good", "account of good")
    assert [rates.take("good", there(number)) for number in range(3)] == [0, 0, 1]
    assert [rates.take(None, HERE) for _ in range(3)] == [0, 0, 1]
    rates.on_authenticated("other", "account of other")
    assert rates.take("other", HERE) == 0


def test_requests_that_write_cost_more_and_are_refused_sooner() -> None:
    clock = Clock()
    rates = RequestLimiter(clock, per_second=50, burst=500)
    rates.on_authenticated("good", "account")
    for token in ("good", None):
        assert sum(not rates.take(token, HERE, WRITE_COST) for _ in range(400)) == 500 // WRITE_COST
    clock.advance(2)
    assert sum(not rates.take("good", HERE, WRITE_COST) for _ in range(400)) == 2 * 50 // WRITE_COST
    clock.advance(1)
    assert sum(not rates.take("good", HERE) for _ in range(400)) == 50


def test_an_account_is_charged_for_what_a_request_costs_more() -> None:
    clock = Clock()
    rates = RequestLimiter(clock, per_second=2, burst=10)
    rates.on_authenticated("good", "account")
    rates.charge("account", 12)
    assert rates.take("good", HERE) == 2
    rates.charge("account", 1000)
    clock.advance(5.5)
    assert rates.take("good", HERE) == 0
    unlimited = RequestLimiter(clock, per_second=0, burst=1)
    unlimited.charge("account", 12)
    assert unlimited.take("good", HERE) == 0


def test_a_write_is_possible_whatever_the_burst() -> None:
    clock = Clock()
    rates = RequestLimiter(clock, per_second=1, burst=1)
    assert [rates.take(None, HERE, WRITE_COST) for _ in range(2)] == [0, 2]
    clock.advance(2)
    assert rates.take(None, HERE, WRITE_COST) == 0


def test_all_tokens_of_an_account_are_charged_together() -> None:
    rates = RequestLimiter(Clock(), per_second=1, burst=2)
    for token in ("one", "two", "three"):
        rates.on_authenticated(token, "account")
    assert [rates.take(token, HERE) for token in ("one", "two", "three", "one")] == [0, 0, 1, 1]
    assert rates.take(None, HERE) == 0


def test_a_token_that_is_revoked_no_longer_charges_its_account() -> None:
    rates = RequestLimiter(Clock(), per_second=1, burst=1)
    for token in ("leaked", "good"):
        rates.on_authenticated(token, "account")
    rates.on_authenticated("leaked", None)
    assert [rates.take("leaked", HERE) for _ in range(3)] == [0, 1, 1]
    assert rates.take("good", HERE) == 0


def test_monitoring_is_charged_apart() -> None:
    rates = RequestLimiter(Clock(), per_second=1, burst=2)
    assert [rates.take(None, HERE) for _ in range(3)] == [0, 0, 1]
    assert [rates.take_monitoring(HERE) for _ in range(3)] == [0, 0, 1]
    assert rates.take_monitoring(there(1)) == 0
    assert RequestLimiter(Clock(), per_second=0, burst=1).take_monitoring(HERE) == 0


def test_a_token_found_good_again_gets_no_fresh_burst() -> None:
    rates = RequestLimiter(Clock(), per_second=1, burst=1)
    rates.on_authenticated("good", "account of good")
    assert rates.take("good", HERE) == 0
    rates.on_authenticated("good", "account of good")
    assert rates.take("good", HERE) == 1


def test_made_up_tokens_are_charged_to_their_address() -> None:
    rates = RequestLimiter(Clock(), per_second=1, burst=2)
    assert [rates.take(f"made-up-{number}", HERE) for number in range(3)] == [0, 0, 1]


def test_made_up_tokens_drive_no_good_one_out_and_memory_is_bounded() -> None:
    rates = RequestLimiter(Clock(), per_second=1, burst=1)
    rates.on_authenticated("good", "account of good")
    assert rates.take("good", HERE) == 0
    for number in range(MAX_KEYS + 10):
        rates.take(f"made-up-{number}", there(number))
    assert rates.take("good", HERE) == 1
    assert rates.take(None, there(0)) == 0  # its bucket was dropped for newer ones
    assert rates.take(None, there(MAX_KEYS + 9)) == 1
    for number in range(MAX_KEYS + 10):
        rates.on_authenticated(f"good-{number}", f"account-{number}")
    assert rates.take(None, HERE) == 0
    assert rates.take("good-0", HERE) == 1  # no longer known, so charged to its address
    assert rates.take(f"good-{MAX_KEYS + 9}", HERE) == 0


def test_peers_that_are_one() -> None:
    rates = RequestLimiter(Clock(), per_second=1, burst=1)
    assert rates.take(None, IPv6Address("TCP", "2001:db8::1", 1)) == 0
    assert rates.take(None, IPv6Address("TCP", "2001:db8::2", 1)) == 1
    assert rates.take(None, UNIXAddress(None)) == 0
    assert rates.take(None, UNIXAddress(None)) == 1


def test_no_limit() -> None:
    rates = RequestLimiter(Clock(), per_second=0, burst=1)
    rates.on_authenticated("good", "account of good")
    assert [rates.take(token, HERE) for token in (None, "good", "bad") for _ in range(1000)] == [0] * 3000


def test_no_token_is_kept() -> None:
    rates = RequestLimiter(Clock(), per_second=1, burst=1)
    rates.on_authenticated("hunter2", "account")
    rates.take("hunter2", HERE)
    assert b"hunter2" not in pickle.dumps(
        asdict(rates, filter=lambda attribute, _: attribute.name != "_clock")
    )
    assert "hunter2" not in repr(rates)


class TestOverHttp:
    @pytest.fixture
    def http(self) -> Http:
        return Http("tcp:0:interface=127.0.0.1", requests_per_second=1, request_burst=100)

    @pytest_twisted.ensureDeferred
    async def test_beyond_the_limit(self, rest: RestHarness) -> None:
        assert (await rest("GET", hooks_path())).code == 200
        refused = await self.refused(rest, "GET", hooks_path(), rest.token)
        assert refused.json_body["message"] == "too_many_requests"
        assert refused.json_body["status"] == "error"
        assert refused.json_body["error"] == "429"
        assert refused.headers.getRawHeaders("retry-after") == ["1"]
        assert refused.headers.getRawHeaders("access-control-allow-origin") == ["*"]
        assert "Retry-After" in refused.headers.getRawHeaders("access-control-expose-headers")[0]
        # The address still has what it had: the token counts for itself.
        assert (await rest("GET", "/v2/webhooks", token="")).code == 200
        fresh = (await rest.node.tokens.create(ACCOUNT)).token
        for verb, path, token in (
            ("GET", "/v2/webhooks", ""),
            ("GET", hooks_path(), "made-up"),
            ("GET", "/v2/nothing", ""),
            ("PUT", "/v2/api_auth", ""),
            ("BREW", "/", ""),
            ("GET", hooks_path(), fresh),
        ):
            await self.refused(rest, verb, path, token)
        for path in ("/healthz", "/readyz"):
            assert (await rest("GET", path, token="")).code == 200
        assert (await rest("OPTIONS", hooks_path(), token="")).code == 200

    async def refused(self, rest: RestHarness, verb: str, path: str, token: str) -> Any:
        for _ in range(150):
            answered = await rest(verb, path, token=token)
            if answered.code == 429:
                return answered
        pytest.fail("there is no limit")


def test_a_burst_and_then_one_at_a_time() -> None:
    clock = Clock()
    limit = LoginThrottle(clock, burst=3, refill_interval=10)
    assert [limit.take("192.0.2.1") for _ in range(4)] == [0, 0, 0, 10]
    assert limit.take("192.0.2.2") == 0
    clock.advance(4)
    assert limit.take("192.0.2.1") == 6
    clock.advance(6)
    assert [limit.take("192.0.2.1") for _ in range(2)] == [0, 10]
    clock.advance(10_000)
    assert [limit.take("192.0.2.1") for _ in range(4)] == [0, 0, 0, 10]


def test_success_costs_nothing() -> None:
    limit = LoginThrottle(Clock(), burst=1)
    for _ in range(10):
        assert limit.take("192.0.2.1") == 0
        limit.give_back("192.0.2.1")
    limit.give_back("192.0.2.1")
    limit.give_back("192.0.2.9")
    assert limit.take("192.0.2.1") == 0
    assert limit.take("192.0.2.1") > 0


def test_one_ipv6_network_is_one_address() -> None:
    limit = LoginThrottle(Clock(), burst=1)
    assert limit.take("2001:db8::1") == 0
    assert limit.take("2001:db8::ffff:2%eth0") > 0
    assert limit.take("2001:db8:0:1::1") == 0
    assert limit.take("::ffff:192.0.2.1") == 0
    assert limit.take("192.0.2.1") > 0
    assert limit.take("local") == 0
    assert limit.take("local") > 0


def test_a_bounded_number_of_addresses_is_remembered() -> None:
    limit = LoginThrottle(Clock(), burst=1)
    for number in range(MAX_KEYS + 1):
        limit.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert limit.take("10.0.0.0") == 0
    assert limit.take("10.0.39.16") > 0


def test_another_rate_applies_at_once_and_none_too() -> None:
    rates = RequestLimiter(Clock(), per_second=1, burst=1)
    assert [rates.take(None, HERE) for _ in range(2)] == [0, 1]
    rates.change_rate(0, 1)
    assert [rates.take(None, HERE) for _ in range(9)] == [0] * 9
    rates.change_rate(1, 3)
    assert [rates.take(None, there(1)) for _ in range(4)] == [0, 0, 0, 1]
