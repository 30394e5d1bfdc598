"""Requests with tokens that have restrictions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import pytest_twisted

from kazoo_bridge.interfaces import Account, IDirectory, Principal, TokenRestrictions
from kazoo_bridge.rest.http.rate_limit import LoginThrottle
from kazoo_bridge.rest.resources.accounts import AccountResource
from kazoo_bridge.rest.resources.auth import AuthResource
from kazoo_bridge.rest.resources.events import EventStreamResource
from kazoo_bridge.rest.resources.websockets import WebsocketResource
from tests.rest.fakes import FakeDirectory, FakeWebsockets
from tests.rest.site_harness import SiteHarness, running_site

OWN, CHILD = "a" * 32, "b" * 32

#: Restrictions by token.
RESTRICTIONS: dict[str, Any] = {
    "reads-all": {"get": ["#"]},
    "reads-sockets": {"get": [f"accounts/{OWN}/websockets/#"]},
    "ends-sockets": {"delete": [f"accounts/{OWN}/websockets/*"]},
    "reads-children": {
        "accounts": [{"allowed_accounts": ["{DESCENDANT_ACCOUNT_ID}"], "rules": {"#": ["GET"]}}]
    },
    "is-wrong": "nothing of sense",
}


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[SiteHarness]:
    fake = FakeDirectory(
        {OWN: Account(OWN, "", ""), CHILD: Account(CHILD, "", "", (OWN,))},
        {
            token: Principal(OWN, restrictions=TokenRestrictions.parse(value))
            for token, value in RESTRICTIONS.items()
        },
    )
    directory = cast(IDirectory, fake)
    websockets: Any = FakeWebsockets({"1": {"websocket_session_id": "1"}})
    clock: Any = None
    async with running_site(
        AccountResource(directory),
        WebsocketResource(directory, websockets),
        EventStreamResource(directory, websockets, clock),
        AuthResource(directory, LoginThrottle(clock)),
    ) as harness:
        yield harness


@pytest.mark.parametrize(
    ("token", "verb", "path", "status"),
    [
        ("reads-all", "GET", f"/v2/accounts/{OWN}", 200),
        ("reads-all", "GET", "/v2/token_auth", 200),
        ("reads-all", "HEAD", f"/v2/accounts/{OWN}/websockets", 200),
        ("reads-all", "GET", f"/v2/accounts/{CHILD}", 200),
        ("reads-all", "DELETE", f"/v2/accounts/{OWN}/websockets/1", 403),
        ("reads-all", "DELETE", "/v2/token_auth", 403),
        ("reads-sockets", "GET", f"/v2/accounts/{OWN}/websockets", 200),
        ("reads-sockets", "GET", f"/v2/accounts/{OWN}/websockets/", 200),
        ("reads-sockets", "GET", f"/v2/accounts/{OWN}/websockets/1", 200),
        ("reads-sockets", "GET", f"/v2/accounts/{OWN}/%77ebsockets", 200),
        ("reads-sockets", "GET", f"/v2/accounts/{OWN}", 403),
        ("reads-sockets", "GET", f"/v2/accounts/{CHILD}/websockets", 403),
        ("reads-sockets", "GET", f"/v2/accounts/{OWN}/events?binding=x", 403),
        ("reads-sockets", "GET", "/v2/token_auth", 403),
        ("reads-sockets", "GET", f"/v2/accounts/{OWN}/websockets%2F1", 403),
        ("reads-sockets", "POST", f"/v2/accounts/{OWN}/websockets/1?verb=delete", 403),
        ("ends-sockets", "GET", f"/v2/accounts/{OWN}/websockets/1", 403),
        ("ends-sockets", "POST", f"/v2/accounts/{OWN}/websockets/1?verb=delete", 200),
        ("reads-children", "GET", f"/v2/accounts/{CHILD}", 200),
        ("reads-children", "GET", f"/v2/accounts/{CHILD}/tree", 200),
        ("reads-children", "GET", f"/v2/accounts/{OWN}", 403),
        ("is-wrong", "GET", f"/v2/accounts/{OWN}", 403),
        ("is-wrong", "GET", "/v2/websockets", 200),  # which needs no token
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_a_token_may_be_used_for(
    site: SiteHarness, token: str, verb: str, path: str, status: int
) -> None:
    answered = await site(path, verb=verb, token=token)
    assert answered.code == status
    if status == 403:
        assert answered.json_body["data"] == {"cause": "access denied by token restrictions"}
        assert "auth_token" not in answered.json_body
