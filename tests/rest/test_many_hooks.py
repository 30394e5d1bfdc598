from __future__ import annotations

import pytest
import pytest_twisted

from kazoo_bridge.config import Webhooks
from tests.rest.rest_client import CHILD, GOOD, Client, hooks


@pytest.fixture
def webhooks() -> Webhooks:
    return Webhooks(max_hooks_per_account=2)


@pytest_twisted.ensureDeferred
async def test_an_account_may_have_so_many_hooks(rest: Client) -> None:
    first = await rest("PUT", hooks(), GOOD)
    assert (await rest("PUT", hooks(), {**GOOD, "enabled": False})).code == 201
    refused = await rest("PUT", hooks(), GOOD)
    assert (refused.code, refused.json_body["message"]) == (400, "validation error")
    told = refused.json_body["data"]["webhooks"]["maxItems"]
    assert told["target"] == 2
    assert told["message"].startswith("this account has the 2 hooks that an account may have")
    # A mistake in the document is told first, and what there is can be changed.
    assert list((await rest("PUT", hooks(), {**GOOD, "name": 1})).json_body["data"]) == ["name"]
    hook_id = first.json_body["data"]["id"]
    assert (await rest("PATCH", hooks(hook_id=hook_id), {"name": "other"})).code == 200
    assert (await rest("PUT", hooks(CHILD), GOOD)).code == 201
    assert (await rest("DELETE", hooks(hook_id=hook_id))).code == 200
    assert (await rest("PUT", hooks(), GOOD)).code == 201
