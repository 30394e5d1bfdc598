from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from attrs import fields

from kazoo_bridge.interfaces import MAX_ACCOUNT_LIMIT, AccountLimits
from kazoo_bridge.rest.resources.limits import parse_limits
from tests.rest.harness import CHILD, RestHarness


@pytest_twisted.ensureDeferred
async def test_limits_are_set_from_above(rest: RestHarness) -> None:
    path = f"/v2/accounts/{CHILD}/configs/webhooks"
    own_token = (await rest.node.tokens.create(CHILD)).token
    assert (await rest("GET", path)).json_body["data"] == {}
    set_to = await rest("POST", path, {"attempt_failure_count": 3})
    assert set_to.json_body["data"] == {"attempt_failure_count": 3}
    patched = await rest("PATCH", path, {"attempt_failure_expiry_ms": 1000})
    assert patched.json_body["data"] == {"attempt_failure_count": 3, "attempt_failure_expiry_ms": 1000}
    assert (await rest("GET", path, token=own_token)).json_body["data"] == patched.json_body["data"]
    for verb in ("POST", "PATCH", "DELETE"):
        assert (await rest(verb, path, {"attempt_failure_count": 9}, token=own_token)).code == 403
    assert (await rest("DELETE", path)).code == 200
    assert (await rest("GET", path)).json_body["data"] == {}


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        ({"attempt_failure_count": 0}, "minimum"),
        ({"attempt_failure_count": "3"}, "type"),
        ({"attempt_failure_count": True}, "type"),
        ({"attempt_failure_expiry_ms": 10**12}, "maximum"),
        ({"attempts": 1}, "additionalProperties"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_limits_that_cannot_be(rest: RestHarness, data: Any, rule: str) -> None:
    refused = await rest("POST", f"/v2/accounts/{CHILD}/configs/webhooks", data)
    assert refused.code == 400
    ((rules),) = refused.json_body["data"].values()
    assert list(rules) == [rule]


LIMITS = [field.name for field in fields(AccountLimits)]


@pytest.mark.parametrize("name", LIMITS)
@pytest_twisted.ensureDeferred
async def test_limits_are_kept_as_integers(rest: RestHarness, name: str) -> None:
    path = f"/v2/accounts/{CHILD}/configs/webhooks"
    answered = await rest("POST", path, raw=b'{"data": {"%s": 3.0}}' % name.encode())
    assert answered.text_body.startswith(f'{{"data":{{"{name}":3}}')
    assert (await rest("GET", path)).json_body["data"] == {name: 3}
    for form in (1.0, float(MAX_ACCOUNT_LIMIT), None):
        limit = getattr(parse_limits({name: form}), name)
        assert type(limit) is (int if form else type(None))
