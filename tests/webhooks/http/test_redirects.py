from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor

from kazoo_bridge.webhooks.egress import EgressPolicy, guarded_agent
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.redirects import RedirectRefused, is_redirect, redirect
from kazoo_bridge.webhooks.http.sender import Outcome, Sender
from tests.webhooks.doors import Door
from tests.webhooks.receiving import Receiver

HEADERS = {"X-Hook-ID": "h", "X-Account-ID": "a", "Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "followed", "with_bodies"),
    [
        ("GET", {301, 302, 303, 307, 308}, set()),
        ("POST", {303}, {307, 308}),
        ("PUT", set(), {307, 308}),
        ("HEAD", set(), set()),
    ],
)
def test_which_redirects_are_followed(method: str, followed: set[int], with_bodies: set[int]) -> None:
    assert {status for status in range(100, 600) if is_redirect(method, status)} == followed
    found = {status for status in range(100, 600) if is_redirect(method, status, bodies=True)}
    assert found == followed | with_bodies


def post(url: str = "https://hook.example/a/b?c", method: str = "POST") -> HookRequest:
    return HookRequest(method, url, HEADERS, b"{}")


@pytest.mark.parametrize(
    ("method", "status", "becomes"),
    [("POST", 303, "GET"), ("POST", 307, "POST"), ("POST", 308, "POST"), ("PUT", 307, "PUT"),
     ("PUT", 308, "PUT"), ("GET", 301, "GET"), ("GET", 302, "GET"), ("GET", 307, "GET")],
)  # fmt: skip
def test_the_method_and_body_of_the_next_request(method: str, status: int, becomes: str) -> None:
    following = redirect(post(method=method), status, "d")
    assert (following.method, following.url) == (becomes, "https://hook.example/a/d")
    if becomes == method:
        assert (following.body, following.headers) == (b"{}", HEADERS)
    else:
        assert (following.body, set(following.headers)) == (b"", {"X-Hook-ID", "X-Account-ID"})


@pytest.mark.parametrize(
    ("url", "location", "same"),
    [
        ("https://hook.example/", "https://HOOK.example.:443/x", True),
        ("http://hook.example/", "https://hook.example/x", True),
        ("https://hook.example/", "https://www.hook.example/x", False),
        ("https://hook.example/", "https://hook.example:444/x", False),
        ("http://hook.example:8080/", "https://hook.example/x", False),
        ("https://hook.example/", "//other.example/x", False),
    ],
)
def test_another_host_gets_the_body_and_its_type_only(url: str, location: str, same: bool) -> None:
    following = redirect(post(url), 307, location)
    assert following.body == b"{}"
    assert dict(following.headers) == (HEADERS if same else {"Content-Type": "application/json"})


def test_credentials_are_sent_to_their_host_only() -> None:
    assert (
        redirect(post("https://me:secret@hook.example/"), 307, "/x").headers["Authorization"]
        == "Basic bWU6c2VjcmV0"
    )
    assert redirect(post("https://me:secret@hook.example/"), 307, "https://hook.example/x").headers[
        "Authorization"
    ]
    elsewhere = redirect(post("https://me:secret@hook.example/"), 307, "https://other.example/x")
    assert "Authorization" not in elsewhere.headers
    assert "secret" not in elsewhere.url


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://hook.example/", "from https to http"),
        (None, "no usable Location"),
        ("", "no usable Location"),
        ("/" + "x" * 3000, "no usable Location"),
        ("ftp://hook.example/", "no usable Location"),
        ("file:///etc/passwd", "no usable Location"),
        ("https://2130706433/", "no usable Location"),
        ("https://[::1", "no usable Location"),
        ("https://hook.example/ü", "no usable Location"),
        ("https://a:b@other.example/", "brings credentials"),
    ],
)
def test_a_bad_location_is_refused(location: str | None, reason: str) -> None:
    with pytest.raises(RedirectRefused, match=reason):
        redirect(post(), 302, location)


class RedirectingReceiver(Receiver):
    """Redirects to each of `locations` in turn, then answers."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.locations: list[str] = []
        self.status = 307

    def render(self, request: Any) -> Any:
        result = super().render(request)
        if self.locations:
            request.setResponseCode(self.status)
            request.setHeader("Location", self.locations.pop(0))
        return result


class Harness:
    """Sends a request to a receiver that redirects."""

    def __init__(self, receiver: RedirectingReceiver, url: str, door: Door) -> None:
        self.door = door
        self.receiver = receiver
        self.url = url

    async def send(
        self,
        max_redirects: int,
        locations: list[str],
        success_statuses: frozenset[int] = frozenset(),
        method: str = "POST",
        redirect_bodies: bool = True,
    ) -> Outcome:
        self.receiver.locations = locations
        agent, pool = guarded_agent(reactor, EgressPolicy.from_config(["10.0.0.0/8", "::/0"], []), 5)
        sender = Sender(reactor, agent, 5, True, max_redirects, pool, redirect_bodies)
        request = HookRequest(method, f"{self.url}/start", HEADERS, b"{}", success_statuses)
        outcome = await self.door(sender, request)
        await pool.close()
        return outcome


@pytest_twisted.async_yield_fixture
async def harness(door: Door) -> AsyncIterator[Harness]:
    receiver = RedirectingReceiver()
    yield Harness(receiver, await receiver.start(), door)
    await receiver.stop()


@pytest_twisted.ensureDeferred
async def test_without_redirects_one_is_a_failure(harness: Harness) -> None:
    outcome = await harness.send(0, ["/next"])
    assert (outcome.success, outcome.status, outcome.error) == (False, 307, "")
    assert len(harness.receiver.received) == 1


@pytest_twisted.ensureDeferred
async def test_redirects_are_followed_as_far_as_allowed(harness: Harness) -> None:
    assert (await harness.send(2, ["/next", "/last"])).success
    assert [one.uri for one in harness.receiver.received] == [b"/start", b"/next", b"/last"]
    assert [one.body for one in harness.receiver.received] == [b"{}"] * 3
    assert [one.headers["x-hook-id"] for one in harness.receiver.received] == ["h"] * 3


@pytest.mark.parametrize(
    ("method", "status", "requests"),
    [
        ("GET", 302, ["GET", "GET"]),
        ("POST", 303, ["POST", "GET"]),
        ("POST", 302, ["POST"]),
        ("PUT", 303, ["PUT"]),
        ("GET", 307, ["GET", "GET"]),
        ("POST", 307, ["POST"]),
        ("PUT", 308, ["PUT"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_redirects_are_followed_like_in_kazoo(
    harness: Harness, method: str, status: int, requests: list[str]
) -> None:
    harness.receiver.status = status
    outcome = await harness.send(3, ["/next"], method=method, redirect_bodies=False)
    assert [one.method for one in harness.receiver.received] == requests
    assert outcome.success is (len(requests) == 2)
    assert outcome.status == (200 if outcome.success else status)


@pytest_twisted.ensureDeferred
async def test_a_loop_ends_at_the_limit(harness: Harness) -> None:
    outcome = await harness.send(3, ["/start"] * 50)
    assert (outcome.success, outcome.status, outcome.error) == (False, 307, "more redirects than 3")
    assert len(harness.receiver.received) == 4


@pytest.mark.parametrize("location", ["http://10.0.0.1/", "http://[::1]/", "http://[::ffff:10.0.0.1]/"])
@pytest_twisted.ensureDeferred
async def test_every_hop_is_judged_by_the_policy(harness: Harness, location: str) -> None:
    outcome = await harness.send(3, ["/next", location])
    assert (outcome.success, outcome.status) == (False, None)
    assert outcome.error.startswith("EgressDenied: ")
    assert not outcome.unreachable
    assert len(harness.receiver.received) == 2


@pytest_twisted.ensureDeferred
async def test_a_redirect_to_nowhere_keeps_its_status(harness: Harness) -> None:
    outcome = await harness.send(3, ["gopher://x/"])
    assert (outcome.success, outcome.status) == (False, 307)
    assert outcome.error.startswith("RedirectRefused: the redirect has no usable Location")


@pytest.mark.parametrize("max_redirects", [0, 3])
@pytest_twisted.ensureDeferred
async def test_a_redirect_that_means_success_is_not_followed(harness: Harness, max_redirects: int) -> None:
    outcome = await harness.send(max_redirects, ["/next"] * 5, frozenset({307}))
    assert (outcome.success, outcome.status, outcome.error) == (True, 307, "")
    assert len(harness.receiver.received) == 1


def test_the_next_request_has_the_options_of_the_first() -> None:
    request = evolve(post(), success_statuses=frozenset({204}), timeout=1.5)
    for status in (303, 307):
        following = redirect(request, status, "https://other.example/")
        assert (following.success_statuses, following.timeout) == (frozenset({204}), 1.5)
