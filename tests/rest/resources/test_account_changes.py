"""Accounts over REST: who may change which, and what changes."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import succeed

from kazoo_bridge.rest.http.errors import ApiError
from kazoo_bridge.rest.resources import account_changes
from kazoo_bridge.rest.resources.account_changes import parse_account
from tests.rest.harness import ACCOUNT, CHILD, STRANGER, RestHarness, hooks_path

TOP, SIBLING, GRANDCHILD = (digit * 32 for digit in "123")


async def grow(rest: RestHarness) -> None:
    """Add accounts above, beside and below those of the fixture."""
    await rest.node.accounts.create(TOP, superadmin=True)
    await rest.node.accounts.create(SIBLING, parent_id=CHILD)
    await rest.node.accounts.create(GRANDCHILD, parent_id=CHILD)
    await rest.node.directory.load()


async def name_realm(rest: RestHarness) -> None:
    """Give the account of the token a realm."""
    await rest.node.accounts.update(ACCOUNT, realm="example")
    await rest.node.directory.load()


async def token_of(rest: RestHarness, account_id: str) -> str:
    return (await rest.node.tokens.create(account_id)).token


#: The account whose token an actor has, for requests about `GRANDCHILD`.
ACTORS = {
    "superadmin": TOP,
    "grandparent": ACCOUNT,
    "parent": CHILD,
    "self": GRANDCHILD,
    "sibling": SIBLING,
    "stranger": STRANGER,
}
ALLOWED = {"superadmin", "grandparent", "parent", "self"}

#: Requests, the status of those who may, and which actors these are.
REQUESTS: list[tuple[str, str, Any, int, set[str]]] = [
    ("GET", "", None, 200, ALLOWED),
    ("PUT", "", {"name": "New"}, 201, ALLOWED),
    ("POST", "", {"name": "Changed"}, 200, ALLOWED),
    ("PATCH", "", {"name": "Changed"}, 200, ALLOWED),
    ("GET", "/api_key", None, 200, ALLOWED),
    ("PUT", "/api_key", {}, 201, ALLOWED),
    ("DELETE", "", None, 409, ALLOWED - {"self"}),
]


@pytest_twisted.ensureDeferred
async def test_who_may_do_what(rest: RestHarness) -> None:
    await grow(rest)
    tokens = {actor: await token_of(rest, account_id) for actor, account_id in ACTORS.items()}
    got, expected = {}, {}
    for verb, path, data, success, allowed in REQUESTS:
        for actor, token in {**tokens, "none": "", "unknown": "x"}.items():
            refusal = 401 if actor in ("none", "unknown") else 403
            expected[verb, path, actor] = success if actor in allowed else refusal
            answered = await rest(verb, f"/v2/accounts/{GRANDCHILD}{path}", data, token=token)
            got[verb, path, actor] = answered.code
    assert got == expected


@pytest_twisted.ensureDeferred
async def test_an_account_is_created_changed_and_deleted(rest: RestHarness) -> None:
    await name_realm(rest)
    made = await rest(
        "PUT", f"/v2/accounts/{CHILD}", {"name": "Zoë", "realm": "Zoe.example", "language": "x"}
    )
    assert made.code == 201, made.text_body
    account = made.json_body["data"]
    path = f"/v2/accounts/{account['id']}"
    expected = {
        "id": account["id"],
        "name": "Zoë",
        "realm": "zoe.example",
        "reseller_id": CHILD,
        "enabled": True,
        "is_reseller": False,
        "superduper_admin": False,
    }
    assert account == await rest.get_data(path) == expected
    below = await rest.get_data(f"/v2/accounts/{ACCOUNT}/descendants")
    assert account["id"] in [one["id"] for one in below]
    changed = await rest("POST", path, {"name": "Anna"})
    assert changed.json_body["data"] == expected | {"name": "Anna"}
    changed = await rest("PATCH", path, {"realm": "anna.example", "id": "x", "superduper_admin": True})
    assert changed.json_body["data"] == expected | {"name": "Anna", "realm": "anna.example"}
    hook_id = await rest.create_hook(account["id"])
    deleted = await rest("DELETE", path)
    assert (deleted.code, deleted.json_body["data"]["name"]) == (200, "Anna")
    assert (await rest("GET", path)).code == 403
    assert (await rest("GET", hooks_path(account["id"], hook_id))).code == 403
    assert await rest.node.webhooks.hooks.get(account["id"], hook_id) is None


@pytest_twisted.ensureDeferred
async def test_an_account_below_the_tokens_own(rest: RestHarness) -> None:
    made = await rest("PUT", "/v2/accounts", {"name": "Below"})
    assert (made.code, made.json_body["data"]["reseller_id"]) == (201, ACCOUNT)
    assert (await rest("PUT", "/v2/accounts", {"name": "Below"}, token="")).code == 401


@pytest_twisted.ensureDeferred
async def test_wrong_documents(rest: RestHarness) -> None:
    await name_realm(rest)
    first = await rest("PUT", "/v2/accounts", {"name": "One", "realm": "one.example"})
    assert first.code == 201
    for verb, path in (("PUT", "/v2/accounts"), ("POST", f"/v2/accounts/{CHILD}")):
        taken = await rest(verb, path, {"name": "Two", "realm": "one.example"})
        assert taken.code == 400
        assert "unique" in taken.json_body["data"]["realm"]
        empty = await rest(verb, path, {})
        assert "required" in empty.json_body["data"]["name"]


@pytest_twisted.ensureDeferred
async def test_an_account_above_a_superadmin_does_not_become_one(rest: RestHarness) -> None:
    await rest.node.accounts.create(TOP, parent_id=CHILD, superadmin=True)
    await rest.node.directory.load()
    path = f"/v2/accounts/{TOP}"
    assert (await rest("GET", path)).code == 200
    assert (await rest("PUT", f"{path}/api_key", {})).code == 403
    assert (await rest("PUT", f"{path}/api_key", {}, token=await token_of(rest, TOP))).code == 201


@pytest_twisted.ensureDeferred
async def test_a_restricted_token_gets_no_api_key_whose_tokens_are_not(rest: RestHarness) -> None:
    restricted = await rest.node.tokens.create(ACCOUNT, restrictions='{"put": ["#"], "get": ["#"]}')
    path = f"/v2/accounts/{CHILD}/api_key"
    refused = await rest("PUT", path, {}, token=restricted.token)
    assert (refused.code, refused.json_body["data"]["cause"]) == (403, "access denied by token restrictions")
    assert (await rest("GET", path, token=restricted.token)).json_body["data"] == {"has_api_key": False}


@pytest_twisted.ensureDeferred
async def test_who_may_choose_a_realm(rest: RestHarness) -> None:
    await grow(rest)
    superadmin = await token_of(rest, TOP)
    requests = (("PUT", ACCOUNT), ("POST", ACCOUNT), ("PATCH", ACCOUNT), ("PATCH", GRANDCHILD))

    async def refused(realm: str) -> list[bool]:
        answers = [
            await rest(verb, f"/v2/accounts/{account_id}", {"name": "x", "realm": realm})
            for verb, account_id in requests
        ]
        return ["forbidden" in answered.json_body["data"].get("realm", ()) for answered in answers]

    # The realm of an account that only KAZOO knows: its presence would be seen.
    assert all(await refused("other-customer.example"))
    await name_realm(rest)
    assert all(await refused("other-customer.sip.test"))
    assert all(await refused("other-example"))
    path = f"/v2/accounts/{GRANDCHILD}"
    assert (await rest("PATCH", path, {"realm": "below.example"})).code == 200
    assert (await rest("POST", path, {"name": "x", "realm": "below.example"})).code == 200
    changed = await rest("PATCH", path, {"realm": "chosen.sip.test"}, token=superadmin)
    assert changed.json_body["data"]["realm"] == "chosen.sip.test"
    # What an account has already may be written back.
    assert (await rest("POST", path, {"name": "y", "realm": "chosen.sip.test"})).code == 200


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        ({"name": 5}, {"name": "type"}),
        ({"name": ""}, {"name": "minLength"}),
        ({"name": "x" * 129}, {"name": "maxLength"}),
        ({"name": "a\nb", "realm": ["x"]}, {"name": "wrong_format", "realm": "type"}),
        ({"name": "x", "realm": "not a realm"}, {"realm": "wrong_format"}),
        ({"name": "x", "enabled": False}, {"enabled": "enum"}),
    ],
)
def test_each_wrong_key_is_named(data: dict[str, Any], wrong: dict[str, str]) -> None:
    with pytest.raises(ApiError) as caught:
        parse_account(data)
    assert {field: next(iter(rules)) for field, rules in caught.value.data.items()} == wrong


@pytest_twisted.ensureDeferred
async def test_accounts_of_kazoo_are_changed_in_kazoo(
    rest: RestHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The storage knows none, but the directory does, like accounts of another source.
    monkeypatch.setattr(rest.node.accounts, "by_ids", lambda _: succeed([]))
    for verb, path in (("PUT", ""), ("GET", "/api_key")):
        refused = await rest(verb, f"/v2/accounts/{CHILD}{path}", {"name": "x"})
        assert (refused.code, "change it in KAZOO" in refused.text_body) == (403, True), (verb, path)


@pytest_twisted.ensureDeferred
async def test_a_new_api_key_ends_the_former_one_and_its_tokens(rest: RestHarness) -> None:
    path = f"/v2/accounts/{CHILD}/api_key"
    assert await rest.get_data(path) == {"has_api_key": False}
    former = (await rest("PUT", path)).json_body["data"]["api_key"]
    assert await rest.get_data(path) == {"has_api_key": True}
    login = await rest("PUT", "/v2/api_auth", {"api_key": former}, token="")
    token = login.json_body["auth_token"]
    assert (await rest("GET", f"/v2/accounts/{CHILD}", token=token)).code == 200
    renewed = (await rest("PUT", path)).json_body["data"]["api_key"]
    assert (await rest("GET", f"/v2/accounts/{CHILD}", token=token)).code == 401
    assert (await rest("PUT", "/v2/api_auth", {"api_key": former}, token="")).code == 401
    assert (await rest("PUT", "/v2/api_auth", {"api_key": renewed}, token="")).code == 201


@pytest_twisted.ensureDeferred
async def test_accounts_are_bounded(rest: RestHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    await grow(rest)
    monkeypatch.setattr(account_changes, "MAX_DESCENDANTS", 1)
    refused = await rest("PUT", "/v2/accounts", {"name": "x"})
    assert (refused.code, "maxItems" in refused.text_body) == (400, True)
    monkeypatch.setattr(account_changes, "MAX_DEPTH", 2)
    token = await token_of(rest, TOP)
    assert (await rest("PUT", f"/v2/accounts/{CHILD}", {"name": "x"}, token=token)).code == 400
    assert (await rest("PUT", f"/v2/accounts/{ACCOUNT}", {"name": "x"}, token=token)).code == 201
