from __future__ import annotations

import pytest
import pytest_twisted

from tests.rest.harness import ACCOUNT, CHILD, RestHarness, hooks_path


@pytest_twisted.ensureDeferred
async def test_logging_in_with_an_api_key(rest: RestHarness) -> None:
    api_key = await rest.node.tokens.create_api_key(CHILD)
    answered = await rest("PUT", "/v2/api_auth", {"api_key": api_key}, token="")
    assert answered.code == 201
    envelope = answered.json_body
    assert envelope["data"] == {"account_id": CHILD, "account_name": "", "reseller_id": ACCOUNT}
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
