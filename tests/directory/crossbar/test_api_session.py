"""The bridge's own login."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kazoo_bridge.directory.crossbar.api_session import RETRY_AFTER_REFUSAL, ApiSession
from kazoo_bridge.directory.crossbar.http_client import CrossbarClient
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


def test_secrets_are_not_in_the_repr(session: ApiSession) -> None:
    assert API_KEY not in repr(session)
