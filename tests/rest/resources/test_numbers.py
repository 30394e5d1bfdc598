"""Numbers that clients write in other forms than the code uses."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from kazoo_bridge.webhooks.delivery.retry_policy import RetryPolicy
from kazoo_bridge.webhooks.http.sender import Outcome
from tests.rest.harness import ACCOUNT, CHILD, HOOK_DOCUMENT, RestHarness, hooks_path


async def _requests(rest: RestHarness, hook_id: str) -> int:
    """How many quick attempts the hook gets when it is read from the storage again."""
    await rest.node.webhooks.hooks.load()
    hook = rest.node.webhooks.registry.get(hook_id)
    assert hook is not None
    assert type(hook.retries) is int
    schedule = RetryPolicy([])
    return next(
        tries for tries in range(1, 9) if schedule.next_attempt(hook, tries, Outcome(False), 0.0) is None
    )


@pytest.mark.parametrize("retries", ["0.0", "1.0", "2.0", "2e0", '"1"'])
@pytest_twisted.ensureDeferred
async def test_retries_from_rest_through_the_storage_to_the_schedule(rest: RestHarness, retries: str) -> None:
    number = int(float(retries.strip('"')))
    raw = (
        b'{"data": {"name": "n", "uri": "http://127.0.0.1:9/x", "hook": "channel_create", "retries": %s}}'
        % retries.encode()
    )
    created = await rest("PUT", hooks_path(), raw=raw)
    assert created.code == 201
    hook_id = created.json_body["data"]["id"]
    path = hooks_path(hook_id=hook_id)
    patch = b'{"data": {"retries": %s}}' % retries.encode()
    for verb, body in (("GET", None), ("POST", raw), ("PATCH", patch)):
        shown = (await rest(verb, path, raw=body)).json_body["data"]["retries"]
        assert (type(shown), shown) == (int, number), verb
        assert await _requests(rest, hook_id) == number + 1


@pytest.mark.parametrize(("stored", "read"), [(2.0, 2), (0.0, 0), ("2", 2), (9, 4), ("x", 2), (True, 2)])
@pytest_twisted.ensureDeferred
async def test_a_document_that_an_older_release_has_stored(rest: RestHarness, stored: Any, read: int) -> None:
    created = await rest("PUT", hooks_path(), HOOK_DOCUMENT)
    hook_id = created.json_body["data"]["id"]
    store = rest.node.webhooks.stores.hooks
    kept = await store.get(ACCOUNT, hook_id)
    assert kept is not None
    await store.replace(kept, {**kept.document, "retries": stored, "enabled": "true"})
    assert await _requests(rest, hook_id) == read + 1
    shown = (await rest("GET", hooks_path(hook_id=hook_id))).json_body["data"]
    assert (type(shown["retries"]), shown["retries"], shown["enabled"]) == (int, read, True)
    assert (await rest("PATCH", hooks_path(hook_id=hook_id), {"name": "other"})).json_body["data"][
        "retries"
    ] == read
    await rest.disable_hook(hook_id)


@pytest.mark.parametrize("raw", ["1e400", "NaN", "Infinity", "-Infinity"])
@pytest_twisted.ensureDeferred
async def test_what_is_no_number_of_json_is_refused(rest: RestHarness, raw: str) -> None:
    answered = await rest("PUT", hooks_path(), raw=b'{"data": {"retries": %s}}' % raw.encode())
    assert answered.code == 400


@pytest.mark.parametrize(
    "raw", ["1e300", "9" * 30, "-" + "9" * 30, "true", "-1.5", str(2**63), str(2**64 - 1)]
)
@pytest.mark.parametrize(
    ("verb", "path", "key"),
    [
        ("PUT", hooks_path(), "retries"),
        ("PUT", hooks_path(), "rate_limit"),
        ("PUT", hooks_path(), "secret_overlap_seconds"),
        ("POST", f"{hooks_path()}/deliveries/recover", "since"),
        *(
            ("POST", f"/v2/accounts/{CHILD}/configs/webhooks", name)
            for name in ("attempt_failure_count", "attempt_failure_expiry_ms")
        ),
    ],
)
@pytest_twisted.ensureDeferred
async def test_numbers_that_do_not_fit_are_refused_by_name(
    rest: RestHarness, verb: str, path: str, key: str, raw: str
) -> None:
    document = (
        b'"name": "n", "uri": "http://127.0.0.1:9/x", "hook": "channel_create", "secret": true, '
        if verb == "PUT"
        else b""
    )
    answered = await rest(verb, path, raw=b'{"data": {%s"%s": %s}}' % (document, key.encode(), raw.encode()))
    assert (answered.code, list(answered.json_body["data"])) == (400, [key])
    assert set(answered.json_body["data"][key]) <= {"type", "minimum", "maximum"}


@pytest_twisted.ensureDeferred
async def test_a_time_without_a_fraction_is_a_time(rest: RestHarness) -> None:
    assert (
        await rest("POST", f"{hooks_path()}/deliveries/recover", raw=b'{"data": {"since": 6.4e10}}')
    ).code == 202
