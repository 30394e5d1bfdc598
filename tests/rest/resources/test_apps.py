from __future__ import annotations

import pytest_twisted

from kazoo_bridge import __version__
from tests.rest.harness import ACCOUNT, CHILD, RestHarness

APPS = f"/v2/accounts/{ACCOUNT}/apps_store"


@pytest_twisted.ensureDeferred
async def test_the_app_of_monster_ui_is_listed_as_monster_ui_needs_it(rest: RestHarness) -> None:
    (app,) = (await rest("GET", APPS)).json_body["data"]
    # The name is that of the app's folder; "all": monster-ui shows it to every user.
    assert (app["name"], app["allowed_users"], app["account_id"]) == ("webhooks", "all", ACCOUNT)
    assert app["i18n"]["en-US"]["label"] == "Webhooks"
    assert (await rest("GET", f"{APPS}/{app['id']}")).json_body["data"] == app
    missing = await rest("GET", f"{APPS}/voip")
    assert (missing.code, missing.json_body["message"]) == (404, "bad_identifier")
    child = (await rest("GET", f"/v2/accounts/{CHILD}/apps_store")).json_body["data"]
    assert child[0]["account_id"] == CHILD
    assert (await rest("GET", APPS, token="")).code == 401


@pytest_twisted.ensureDeferred
async def test_the_version_needs_a_token(rest: RestHarness) -> None:
    assert (await rest("GET", "/v2/about")).json_body["data"] == {"version": __version__}
    assert (await rest("GET", "/v2/about", token="")).code == 401
