from __future__ import annotations

import pytest
import pytest_twisted

from kazoo_bridge.storage.tokens import secret_digest
from tests.rest.harness import ACCOUNT, CHILD, RestHarness

pytestmark = pytest.mark.timeout(30)

PATH = f"/v2/accounts/{CHILD}/tokens"


@pytest_twisted.ensureDeferred
async def test_tokens_are_listed_by_digest_and_never_shown(rest: RestHarness) -> None:
    issued = await rest.node.tokens.create(CHILD, ttl=60)
    response = await rest("GET", PATH, token=issued.token)
    (entry,) = response.json_body["data"]
    assert entry["id"] == secret_digest(issued.token)
    assert entry["expires"] - entry["created"] in (59, 60, 61)
    assert (entry["current"], entry["api_key"], entry["restricted"]) == (True, False, False)
    assert issued.token not in response.text_body.replace(response.json_body["auth_token"], "")
    (seen_from_above,) = await rest.get_data(PATH)
    assert seen_from_above == {**entry, "current": False}


@pytest_twisted.ensureDeferred
async def test_tokens_are_listed_in_pages(rest: RestHarness) -> None:
    for _ in range(3):
        await rest.node.tokens.create(CHILD)
    ids, query = [], "?page_size=2"
    while query:
        page = (await rest("GET", PATH + query)).json_body
        ids += [entry["id"] for entry in page["data"]]
        key = page.get("next_start_key")
        query = f"?page_size=2&start_key={key}" if key else ""
    assert len(ids) == len(set(ids)) == 3


@pytest_twisted.ensureDeferred
async def test_a_revoked_token_ends_at_once(rest: RestHarness) -> None:
    token = (await rest.node.tokens.create(CHILD)).token
    assert (await rest("GET", f"/v2/accounts/{CHILD}", token=token)).code == 200
    revoked = await rest("DELETE", f"{PATH}/{secret_digest(token)}")
    assert (revoked.code, revoked.json_body["data"]) == (200, {"id": secret_digest(token)})
    assert (await rest("GET", f"/v2/accounts/{CHILD}", token=token)).code == 401
    assert (await rest("DELETE", f"{PATH}/{secret_digest(token)}")).code == 404


@pytest_twisted.ensureDeferred
async def test_a_token_is_revoked_by_its_id_in_its_account_only(rest: RestHarness) -> None:
    token = (await rest.node.tokens.create(CHILD)).token
    for path in (
        f"/v2/accounts/{ACCOUNT}/tokens/{secret_digest(token)}",
        f"{PATH}/{token[:-1]}x",
        f"{PATH}/x",
    ):
        assert (await rest("DELETE", path)).code == 404, path
    assert (await rest("GET", f"/v2/accounts/{CHILD}", token=token)).code == 200


@pytest_twisted.ensureDeferred
async def test_a_restricted_token_revokes_none(rest: RestHarness) -> None:
    restrictions = '{"delete": ["#"], "get": ["#"]}'
    restricted = (await rest.node.tokens.create(CHILD, restrictions=restrictions)).token
    (entry,) = (await rest("GET", PATH, token=restricted)).json_body["data"]
    assert entry["restricted"] is True
    refused = await rest("DELETE", f"{PATH}/{entry['id']}", token=restricted)
    assert refused.code == 403


@pytest_twisted.ensureDeferred
async def test_only_super_admins_revoke_tokens_of_a_super_admin(rest: RestHarness) -> None:
    top = "e" * 32
    await rest.node.accounts.create(top, parent_id=CHILD, superadmin=True)
    following = rest.node.directory.on_change("account", frozenset([top]))
    if following is not None:
        await following
    token = (await rest.node.tokens.create(top)).token
    path = f"/v2/accounts/{top}/tokens/{secret_digest(token)}"
    assert (await rest("DELETE", path)).code == 403
    assert (await rest("DELETE", path, token=token)).code == 200
