"""What a token allowed ends with it, within seconds."""

from __future__ import annotations

import time

import pytest
import pytest_twisted
from twisted.internet import reactor

from kazoo_bridge.interfaces import Principal
from tests.websockets.stage import CHILD, RESELLER, TOP, Stage

pytestmark = pytest.mark.timeout(30)

_CALLS = {"binding": "call.*.*"}


@pytest_twisted.ensureDeferred
async def test_a_revoked_token_ends_its_sockets(stage: Stage) -> None:
    client, other = await stage.client(), await stage.client(CHILD)
    await client.ask("subscribe", {"account_id": RESELLER, **_CALLS})
    assert await stage.bridge.tokens.revoke(stage.tokens[RESELLER])
    notice = await client.notice()
    assert (notice["action"], notice["status"]) == ("reply", "error")
    assert notice["data"]["errors"][0].startswith("failed to authenticate token ")
    assert await client.close_code() == 4401
    assert (await other.ask("ping"))["status"] == "success"
    assert not stage.bridge.websockets.fanout.index.topics


@pytest_twisted.ensureDeferred
async def test_a_token_that_expires_ends_its_sockets_unless_it_is_renewed(stage: Stage) -> None:
    short = await stage.bridge.tokens.create(RESELLER, 2)
    ends, renewed = await stage.client(None), await stage.client(None)
    for client in (ends, renewed):
        assert (await client.ask("ping", auth_token=short.token))["status"] == "success"
    assert (await renewed.ask("ping", auth_token=stage.tokens[RESELLER]))["status"] == "success"
    assert await ends.close_code() == 4401
    assert (await renewed.ask("ping"))["status"] == "success"


@pytest_twisted.ensureDeferred
async def test_another_accounts_token_changes_nothing(stage: Stage) -> None:
    client = await stage.client(CHILD)
    assert (await client.ask("ping", auth_token=stage.tokens[TOP]))["status"] == "success"
    assert (await client.ask("subscribe", {"account_id": RESELLER, **_CALLS}))["data"] == {
        "errors": ["unauthorized account id"]
    }


@pytest_twisted.ensureDeferred
async def test_an_account_that_goes_takes_its_subscriptions_along(stage: Stage) -> None:
    client = await stage.client()
    for account in (RESELLER, CHILD):
        await client.ask("subscribe", {"account_id": account, **_CALLS})
    await client.ask("subscribe", {"account_id": CHILD, "binding": "fax.status.*"})
    await stage.bridge.accounts.delete(CHILD)
    notice = await client.notice()
    assert notice["data"] == {
        "errors": ["unauthorized account id"],
        "account_id": CHILD,
        "unsubscribed": ["call.*.*", "fax.status.*"],
        "subscribed": ["call.*.*"],
    }
    await stage.call(RESELLER)
    assert (await client.event())["data"]["call_id"] == "call-1"


@pytest_twisted.ensureDeferred
async def test_the_sockets_of_an_account_that_goes_are_closed(stage: Stage) -> None:
    client = await stage.client(CHILD)
    await client.ask("subscribe", {"account_id": CHILD, **_CALLS})
    started = time.monotonic()
    await stage.bridge.accounts.delete(CHILD)
    assert await client.close_code() == 4401
    assert time.monotonic() - started < 8


@pytest_twisted.ensureDeferred
async def test_what_was_never_authenticated_has_no_rights(stage: Stage) -> None:
    client = await stage.client(None)
    for message in (
        {"action": "subscribe", "data": {"account_id": RESELLER, **_CALLS}},
        {"action": "resume"},
        {"action": "command"},
    ):
        client.send(message)
        assert (await client.notice())["data"] == {"errors": ["authentication token required"]}
    session = next(iter(stage.bridge.websockets.sessions))
    assert session.principal is None
    assert isinstance(await stage.bridge.directory.authenticate(stage.tokens[RESELLER]), Principal)
    assert reactor.seconds() - session.last_seen < 10  # type: ignore[attr-defined]
