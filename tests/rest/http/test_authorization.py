from __future__ import annotations

import pytest_twisted

from tests.rest.harness import CHILD, STRANGER, RestHarness, hooks_path


@pytest_twisted.ensureDeferred
async def test_who_gets_in(rest: RestHarness) -> None:
    for path, token, code, word in (
        (hooks_path(), "", 401, "invalid_credentials"),
        (hooks_path(), "wrong", 401, "invalid_credentials"),
        (hooks_path(CHILD), rest.token, 200, None),
        (hooks_path(STRANGER), rest.token, 403, "forbidden"),
        (hooks_path("d" * 32), rest.token, 403, "forbidden"),
        (hooks_path("nonsense"), rest.token, 403, "forbidden"),
    ):
        answered = await rest("GET", path, token=token)
        assert (answered.code, answered.json_body.get("message")) == (code, word)
        if code == 401:
            assert "version" not in answered.json_body
            assert "auth_token" not in answered.json_body


@pytest_twisted.ensureDeferred
async def test_a_super_admin_is_answered_that_an_account_does_not_exist(rest: RestHarness) -> None:
    await rest.node.accounts.create("e" * 32, superadmin=True)
    await rest.node.directory.load()
    token = (await rest.node.tokens.create("e" * 32)).token
    assert (await rest("GET", hooks_path(STRANGER), token=token)).code == 200
    assert (await rest("GET", hooks_path("d" * 32), token=token)).code == 404
