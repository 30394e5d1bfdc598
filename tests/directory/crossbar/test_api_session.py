"""The bridge's own login."""

from __future__ import annotations

from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from kazoo_bridge.directory.crossbar.api_session import MAX_WAITING, RETRY_AFTER_REFUSAL, ApiSession
from kazoo_bridge.directory.crossbar.http_client import CrossbarAnswer, CrossbarClient
from kazoo_bridge.interfaces import StorageUnavailable
from tests.directory.crossbar.stand_in import API_KEY, MASTER, StandInCrossbar

PATH = f"/accounts/{MASTER}"


@pytest.fixture
def session(clock: Clock, client: CrossbarClient) -> ApiSession:
    return ApiSession(clock, client, API_KEY)


@pytest_twisted.ensureDeferred
async def test_it_logs_in_once(crossbar: StandInCrossbar, session: ApiSession) -> None:
    crossbar.hold()
    waiting = [Deferred.fromCoroutine(session.get(PATH)) for _ in range(10)]
    crossbar.release()
    assert [(await one).status for one in waiting] == [200] * 10
    assert await session.account_id() == MASTER
    assert crossbar.asked == {"PUT /api_auth": 1, f"GET {PATH}": 10}
    assert session.problem is None


@pytest_twisted.ensureDeferred
async def test_it_renews_a_token_that_has_ended_once(crossbar: StandInCrossbar, session: ApiSession) -> None:
    await session.get(PATH)
    crossbar.tokens.clear()
    waiting = [Deferred.fromCoroutine(session.get(PATH)) for _ in range(5)]
    assert [(await one).status for one in waiting] == [200] * 5
    assert crossbar.asked["PUT /api_auth"] == 2


@pytest_twisted.ensureDeferred
async def test_a_token_that_is_refused_at_once(crossbar: StandInCrossbar, session: ApiSession) -> None:
    crossbar.lie = lambda method, _path: (401, b'{"status": "error"}') if method == "GET" else None
    with pytest.raises(StorageUnavailable, match="refuses the token that it has just issued"):
        await session.get(PATH)
    assert crossbar.asked == {"PUT /api_auth": 2, f"GET {PATH}": 2}


@pytest_twisted.ensureDeferred
async def test_a_refused_api_key_is_not_tried_again_at_once(
    crossbar: StandInCrossbar, session: ApiSession, clock: Clock
) -> None:
    crossbar.api_keys.clear()
    for _ in range(3):
        with pytest.raises(StorageUnavailable, match=r"crossbar refuses the API key of crossbar\.api_key"):
            await session.get(PATH)
    assert crossbar.asked == {"PUT /api_auth": 1}
    assert session.problem == "crossbar refuses the API key of crossbar.api_key"
    crossbar.api_keys[API_KEY] = MASTER
    clock.advance(RETRY_AFTER_REFUSAL)
    assert (await session.get(PATH)).status == 200
    assert session.problem is None


class HangingClient:
    """A client whose requests are answered when the test does."""

    def __init__(self) -> None:
        self.logins: list[Deferred[CrossbarAnswer]] = []

    async def request(self, method: str, path: str, **_: Any) -> CrossbarAnswer:
        if method == "GET":
            return CrossbarAnswer(200, {})
        self.logins.append(Deferred())
        return await self.logins[-1]


def ask(session: ApiSession) -> Deferred[CrossbarAnswer]:
    return Deferred.fromCoroutine(session.get(PATH))


def reason(failed: Deferred[Any]) -> str:
    return str(SynchronousTestCase().failureResultOf(failed, StorageUnavailable).value)


def test_all_who_wait_for_a_login_share_its_failure(clock: Clock) -> None:
    client = HangingClient()
    session = ApiSession(clock, cast(CrossbarClient, client), API_KEY)
    waiting = [ask(session) for _ in range(50)]
    assert len(client.logins) == 1
    client.logins[0].errback(StorageUnavailable("crossbar did not answer in time"))
    assert {reason(one) for one in waiting} == {"crossbar did not answer in time"}
    assert len(client.logins) == 1
    ask(session).addErrback(lambda _: None)
    assert len(client.logins) == 2


def test_a_caller_that_leaves_does_not_end_the_login_of_others(clock: Clock) -> None:
    client = HangingClient()
    session = ApiSession(clock, cast(CrossbarClient, client), API_KEY)
    leaving, staying = ask(session), ask(session)
    leaving.addErrback(lambda failure: failure.trap(CancelledError) and None).cancel()
    envelope = {"status": "success", "auth_token": "t", "data": {"account_id": MASTER}}
    client.logins[0].callback(CrossbarAnswer(201, envelope))
    assert SynchronousTestCase().successResultOf(staying).status == 200
    assert len(client.logins) == 1


def test_those_who_wait_for_a_login_are_bounded(clock: Clock) -> None:
    client = HangingClient()
    session = ApiSession(clock, cast(CrossbarClient, client), API_KEY)
    waiting = [ask(session) for _ in range(MAX_WAITING)]
    assert "too many" in reason(ask(session))
    waiting[0].addErrback(lambda _: None).cancel()
    assert not ask(session).addErrback(lambda _: None).called
    client.logins[0].errback(StorageUnavailable("x"))
    assert [reason(one) for one in waiting[1:]] == ["x"] * (MAX_WAITING - 1)


def test_secrets_are_not_in_the_repr(session: ApiSession) -> None:
    assert API_KEY not in repr(session)
