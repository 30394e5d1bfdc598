from __future__ import annotations

import pytest_twisted
from attrs import evolve
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from kazoo_bridge.rest.server.site import make_site
from tests.rest.fakes import FakeDirectory
from tests.rest.harness import ACCOUNT, LOOPBACK, RestHarness, hooks_path


@pytest_twisted.ensureDeferred
async def test_no_token_in_the_access_log(rest: RestHarness) -> None:
    with capturedLogs() as logs:
        await rest("GET", f"{hooks_path()}?auth_token={rest.token}", token="")
        await rest("GET", f"{hooks_path()}?auth_token=hunter2", token="")
        for token in ("eyJhbGciOi.eyJpc3Mi.hunter2", "eyJhbGciOi%2EeyJpc3Mi%2Ehunter2"):
            path = f"/v2/user_auth/{token}"
            await rest("GET", path, token="", headers={"Referer": f"http://ui.example{path}/x"})
    text = "\n".join(formatEvent(event) for event in logs)
    assert f"GET {hooks_path()}" in text
    assert text.count("/v2/user_auth/[token]") == 4
    assert rest.token not in text
    assert "hunter2" not in text


@pytest_twisted.ensureDeferred
async def test_no_secret_of_a_pivot_point_in_the_access_log(rest: RestHarness) -> None:
    path = f"/v2/accounts/{ACCOUNT}/pivots"
    point = (await rest("PUT", path, {"name": "front-desk"})).json_body["data"]
    uri = point["url"].removeprefix(rest.base)
    with capturedLogs() as logs:
        for end in ("", "/cdr", "/x", "?Call-ID=c1"):
            await rest("POST", uri + end, token="", headers={"Referer": point["url"]})
    text = "\n".join(formatEvent(event) for event in logs)
    assert text.count(f"POST /pivot/{point['id']}/[secret]") == 4
    assert uri.rsplit("/", 1)[1] not in text


@pytest_twisted.ensureDeferred
async def test_paths_and_verbs(rest: RestHarness) -> None:
    missing = await rest("GET", "/v2/nothing")
    assert (missing.code, missing.json_body["message"]) == (404, "bad_identifier")
    wrong = await rest("DELETE", "/v2/webhooks")
    assert (wrong.code, wrong.json_body["message"]) == (405, "invalid_method")
    assert "GET" in wrong.headers.getRawHeaders("allow")[0]
    preflight = await rest("OPTIONS", hooks_path(), token="")
    assert preflight.code == 200
    assert preflight.headers.getRawHeaders("access-control-allow-origin") == ["*"]
    assert "X-Auth-Token" in preflight.headers.getRawHeaders("access-control-allow-headers")[0]
    assert (await rest("GET", hooks_path())).headers.getRawHeaders("access-control-allow-origin") == ["*"]


def test_limits_can_change_while_the_site_runs() -> None:
    site = make_site(Clock(), [], "node", FakeDirectory({}, {}), LOOPBACK)
    site.configure(evolve(LOOPBACK, connections_per_second=1, connection_burst=1, max_connections=1))
    peer = IPv4Address("TCP", "192.0.2.1", 40_000)
    assert site.buildProtocol(peer) is not None
    assert site.buildProtocol(peer) is None
    site.configure(evolve(LOOPBACK, connections_per_second=0))
    assert site.buildProtocol(peer) is not None
    site.stopFactory()
