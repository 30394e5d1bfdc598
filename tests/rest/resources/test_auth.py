from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor

from kazoo_bridge.config import Config, Crossbar, Directory
from kazoo_bridge.directory.local import LOGIN_TTL
from kazoo_bridge.kazoo import to_gregorian
from tests.directory.crossbar.stand_in import API_KEY, CREDENTIALS, CUSTOMER, StandInCrossbar
from tests.rest.harness import ACCOUNT, CHILD, RestHarness, hooks_path, running_node


@pytest_twisted.async_yield_fixture
async def crossbar() -> AsyncIterator[StandInCrossbar]:
    stand_in = StandInCrossbar()
    stand_in.start()
    yield stand_in
    await stand_in.stop()


@pytest_twisted.async_yield_fixture
async def rest_beside_crossbar(config: Config, crossbar: StandInCrossbar) -> AsyncIterator[RestHarness]:
    """A node whose accounts are local ones and those of crossbar."""
    kinds = Directory(("local", "crossbar"))
    settings = Crossbar(uri=crossbar.uri, api_key=API_KEY)
    async with running_node(evolve(config, directory=kinds, crossbar=settings)) as harness:
        yield harness


@pytest_twisted.ensureDeferred
async def test_logging_in_with_an_api_key(rest: RestHarness) -> None:
    api_key = await rest.node.tokens.create_api_key(CHILD)
    answered = await rest("PUT", "/v2/api_auth", {"api_key": api_key}, token="")
    assert answered.code == 201
    envelope = answered.json_body
    lifetime = envelope["data"]["expires"] - to_gregorian(reactor.seconds())
    assert LOGIN_TTL - 60 < lifetime <= LOGIN_TTL
    expected = {"account_id": CHILD, "account_name": "", "reseller_id": ACCOUNT}
    assert envelope["data"].items() >= expected.items()
    assert api_key not in answered.text_body
    token = envelope["auth_token"]
    assert (await rest("GET", hooks_path(CHILD), token=token)).code == 200
    assert (await rest("GET", hooks_path(ACCOUNT), token=token)).code == 403
    assert (await rest("GET", "/v2/token_auth", token=token)).json_body["data"] == envelope["data"]
    assert (await rest("GET", "/v2/token_auth", token="")).code == 401


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        ({"api_key": "0" * 64}, 401, "invalid_credentials"),
        ({"api_key": ""}, 401, "invalid_credentials"),
        ({"api_key": "x" * 60_000}, 401, "invalid_credentials"),
        ({"api_key": "\ud83d\udd11\u0000"}, 401, "invalid_credentials"),
        ({"api_key": "x" * 100_000}, 413, "too_large"),
        ({}, 400, "validation error"),
        ({"api_key": 3}, 400, "validation error"),
        ([], 400, "parse error"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_logging_in_without_a_good_key(
    rest: RestHarness, data: object, code: int, message: str
) -> None:
    answered = await rest("PUT", "/v2/api_auth", data, token="")
    assert answered.code == code
    assert answered.json_body["message"].startswith(message)
    assert not answered.json_body.keys() & {"auth_token", "version"}


@pytest_twisted.ensureDeferred
async def test_guessing_keys_is_bounded(rest: RestHarness) -> None:
    good = await rest.node.tokens.create_api_key(ACCOUNT)
    for _ in range(25):
        assert (await rest("PUT", "/v2/api_auth", {"api_key": good}, token="")).code == 201
    codes = [(await rest("PUT", "/v2/api_auth", {"api_key": "wrong"}, token="")).code for _ in range(40)]
    refused = await rest("PUT", "/v2/api_auth", {"api_key": good}, token="")
    assert codes[:20] == [401] * 20
    assert codes[-1] == 429
    assert (refused.code, refused.json_body["message"]) == (429, "too_many_requests")
    assert 1 <= int(refused.headers.getRawHeaders("retry-after")[0]) <= 3
    assert (await rest("GET", hooks_path())).code == 200


@pytest_twisted.ensureDeferred
async def test_logging_out_ends_the_token(rest: RestHarness) -> None:
    token = (await rest.node.tokens.create(CHILD)).token
    assert (await rest("GET", hooks_path(CHILD), token=token)).code == 200
    answered = await rest("DELETE", "/v2/token_auth", token=token)
    assert (answered.code, answered.json_body["status"]) == (200, "success")
    assert not answered.json_body.keys() & {"auth_token", "version"}
    for verb, path in (("GET", hooks_path(CHILD)), ("DELETE", "/v2/token_auth")):
        assert (await rest(verb, path, token=token)).code == 401
    assert (await rest("DELETE", "/v2/token_auth", token="")).code == 401
    assert (await rest("GET", hooks_path(CHILD))).code == 200


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        ({"credentials": "0" * 32, "account_name": "x"}, 401, "invalid_credentials"),
        ({}, 400, "validation error"),
        ({"credentials": 3}, 400, "validation error"),
        ([], 400, "parse error"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_users_cannot_log_in_without_a_directory_of_users(
    rest: RestHarness, data: object, code: int, message: str
) -> None:
    answered = await rest("PUT", "/v2/user_auth", data, token="")
    assert answered.code == code
    assert answered.json_body["message"].startswith(message)
    assert not answered.json_body.keys() & {"auth_token", "version"}


class TestUsersOfCrossbar:
    @pytest_twisted.ensureDeferred
    async def test_a_user_logs_in_and_out(self, rest_beside_crossbar: RestHarness) -> None:
        rest, given = rest_beside_crossbar, {"credentials": CREDENTIALS, "account_name": "customer"}
        answered = await rest("PUT", "/v2/user_auth", given, token="")
        assert answered.code == 201
        envelope = answered.json_body
        assert envelope["data"].items() >= {"account_id": CUSTOMER, "owner_id": "9" * 32, "apps": []}.items()
        token = envelope["auth_token"]
        assert (await rest("GET", hooks_path(CUSTOMER), token=token)).code == 200
        assert (await rest("GET", hooks_path(ACCOUNT), token=token)).code == 403
        assert (await rest("DELETE", "/v2/token_auth", token=token)).code == 200
        assert (await rest("GET", hooks_path(CUSTOMER), token=token)).code == 401

    @pytest_twisted.ensureDeferred
    async def test_a_refusal_is_that_of_crossbar(self, rest_beside_crossbar: RestHarness) -> None:
        answered = await rest_beside_crossbar("PUT", "/v2/user_auth", {"credentials": "wrong"}, token="")
        assert (answered.code, answered.json_body["message"]) == (401, "invalid_credentials")
        codes = [
            (await rest_beside_crossbar("PUT", "/v2/user_auth", {"credentials": "wrong"}, token="")).code
            for _ in range(30)
        ]
        assert codes[-1] == 429

    @pytest_twisted.ensureDeferred
    async def test_crossbar_away(self, rest_beside_crossbar: RestHarness, crossbar: StandInCrossbar) -> None:
        await crossbar.stop()
        rest = rest_beside_crossbar
        for answered in (
            await rest("PUT", "/v2/user_auth", {"credentials": CREDENTIALS}, token=""),
            await rest("GET", hooks_path(CUSTOMER), token="token-of-customer"),
        ):
            assert (answered.code, answered.json_body["message"]) == (503, "datastore_fault")
        assert (await rest("GET", hooks_path(ACCOUNT))).code == 200


@pytest_twisted.ensureDeferred
async def test_a_token_in_the_body_is_described_as_for_monster_ui(rest: RestHarness) -> None:
    token = (await rest.node.tokens.create(CHILD)).token
    answered = await rest("POST", "/v2/auth/tokeninfo", {"token": token}, token="")
    assert (
        answered.json_body["data"].items()
        >= {
            "account_id": CHILD,
            "reseller_id": ACCOUNT,
            "is_master_account": False,
            "is_reseller": False,
            "apps": [],
        }.items()
    )
    assert answered.json_body["auth_token"] == token
    assert "owner_id" not in answered.json_body["data"]


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        ({}, 404, "missing token in request"),
        ({"token": 5}, 404, "missing token in request"),
        ({"token": "wrong"}, 401, "invalid_credentials"),
        ([], 400, "parse error"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_another_token_is_not_described(
    rest: RestHarness, data: object, code: int, message: str
) -> None:
    # The request's own token, which is good, is not the one that is asked about.
    answered = await rest("POST", "/v2/auth/tokeninfo", data)
    assert answered.code == code
    assert answered.json_body["message"].startswith(message)
    assert "auth_token" not in answered.json_body


@pytest_twisted.ensureDeferred
async def test_a_token_of_a_user_names_the_user(
    rest_beside_crossbar: RestHarness, crossbar: StandInCrossbar
) -> None:
    answered = await rest_beside_crossbar(
        "POST", "/v2/auth/tokeninfo", {"token": "token-of-customer"}, token=""
    )
    assert answered.json_body["data"]["owner_id"] == "9" * 32
