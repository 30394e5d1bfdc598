from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.logger import LogLevel, capturedLogs, formatEvent

from kazoo_bridge.rest.server.access_log import ACCESS_NAMESPACE
from tests.rest.harness import ACCOUNT, RestHarness, hooks_path


async def access_events(rest: RestHarness, *arguments: Any, **options: Any) -> list[Any]:
    with capturedLogs() as logs:
        await rest(*arguments, **options)
    return [event for event in logs if event["log_namespace"] == ACCESS_NAMESPACE]


@pytest_twisted.ensureDeferred
async def test_a_line_has_the_ids_of_the_request_and_of_its_account(rest: RestHarness) -> None:
    headers = {"X-Request-ID": "mine", "User-Agent": 'a"b'}
    (event,) = await access_events(rest, "GET", f"{hooks_path()}?page_size=1", headers=headers)
    text = formatEvent(event)
    assert text.startswith(f"GET {hooks_path()} HTTP/1.1 status=200 bytes=")
    assert f" client=127.0.0.1 account_id={ACCOUNT} request_id=mine " in text
    assert text.endswith(""" referer="-" agent="a'b\"""")
    assert event["bytes"] > 100
    assert event["duration_ms"] >= 0
    assert event["log_level"] is LogLevel.info


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
@pytest_twisted.ensureDeferred
async def test_probes_are_logged_at_the_level_debug(rest: RestHarness, path: str) -> None:
    (event,) = await access_events(rest, "GET", path, token="")
    assert event["log_level"] is LogLevel.debug


@pytest_twisted.ensureDeferred
async def test_a_request_without_a_valid_token_has_no_account(rest: RestHarness) -> None:
    (event,) = await access_events(rest, "GET", hooks_path(), token="wrong")
    assert (event["status"], event["account_id"]) == (401, "-")


@pytest_twisted.ensureDeferred
async def test_a_long_text_of_a_client_is_cut(rest: RestHarness) -> None:
    (event,) = await access_events(rest, "GET", hooks_path(), headers={"User-Agent": "x" * 5000})
    assert event["agent"] == "x" * 200


@pytest.mark.parametrize(
    ("uri", "logged"),
    [
        ("/pivot/p1/hunter2?x=hunter2", "/pivot/p1/[secret]"),
        ("/pivot/p1/hunter2/cdr", "/pivot/p1/[secret]/cdr"),
        ("/%70ivot/p1/hunter2", "/pivot/p1/[secret]"),
        ("/pivot/p1%2Fhunter2", "/pivot/p1/[secret]"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_secret_of_a_pivot_point_is_not_logged(rest: RestHarness, uri: str, logged: str) -> None:
    (event,) = await access_events(rest, "POST", uri)
    assert event["path"] == logged
    assert "hunter2" not in formatEvent(event)
