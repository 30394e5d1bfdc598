"""The URL that KAZOO requests; answers of clients are in ``tests/pivot/test_service.py``."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest_twisted
from attrs import define, evolve, field

from kazoo_bridge.interfaces import KazooRequest, PivotRefused, PivotReply, StorageUnavailable
from kazoo_bridge.rest.http.request_body import MAX_ANONYMOUS_BODY_BYTES
from kazoo_bridge.rest.resources.pivot_door import PivotDoorResource
from kazoo_bridge.rest.server.root_resource import RootResource
from tests.rest.harness import LOOPBACK
from tests.rest.site_harness import running_site


@define
class FakePivots:
    """Answers with `result`, or raises it; keeps what was asked."""

    result: Any = field(factory=lambda: PivotReply(b"{}"))
    asked: tuple[str, str, KazooRequest] | None = None

    async def ask(self, pivot_point_id: str, secret: str, request: KazooRequest) -> PivotReply:
        self.asked = (pivot_point_id, secret, request)
        if isinstance(self.result, Exception):
            raise self.result
        reply: PivotReply = self.result
        return reply

    async def call_ended(self, pivot_point_id: str, secret: str, request: KazooRequest) -> None:
        await self.ask(pivot_point_id, secret, request)


@pytest_twisted.ensureDeferred
async def test_requests_and_answers() -> None:
    pivots: Any = FakePivots()
    async with running_site(PivotDoorResource(pivots)) as site:
        response = await site("/pivot/1/s?Call-ID=c1&verb=delete", verb="POST", raw=b'{"verb": "delete"}')
        assert (response.code, response.text_body) == (200, "{}")
        expected = KazooRequest((("Call-ID", "c1"), ("verb", "delete")), b'{"verb": "delete"}', "127.0.0.1")
        assert pivots.asked == ("1", "s", expected)
        assert response.headers.getRawHeaders("content-type") == ["application/json"]
        pivots.result = PivotReply(b"<Response/>", "text/xml")
        response = await site("/pivot/1/s")
        assert response.headers.getRawHeaders("content-type") == ["text/xml"]
        assert (await site("/pivot/1/s/cdr", verb="POST")).text_body == ""


@pytest_twisted.ensureDeferred
async def test_errors_are_kazoos() -> None:
    pivots: Any = FakePivots()
    async with running_site(PivotDoorResource(pivots)) as site:
        for error, status, word in (
            (PivotRefused(404, "no such"), 404, "bad_identifier"),
            (PivotRefused(403, "not from here"), 403, "forbidden"),
            (PivotRefused(400, "no form"), 400, "parse error: no form"),
            (StorageUnavailable("away"), 503, "datastore_fault"),
        ):
            pivots.result = error
            response = await site("/pivot/1/s")
            assert (response.code, response.json_body["message"]) == (status, word)
        assert (await site("/pivot/1/s", verb="DELETE")).code == 405
        assert (await site("/pivot/1")).code == 404


@pytest_twisted.ensureDeferred
async def test_only_wrong_urls_count_against_the_rate_of_an_address() -> None:
    pivots: Any = FakePivots()
    http = evolve(LOOPBACK, requests_per_second=1, request_burst=1)
    noted: list[bool] = []
    async with running_site(PivotDoorResource(pivots), http=http) as site:
        with patch.object(RootResource, "_note_excess", lambda *_: noted.append(True)):
            for _ in range(5):
                assert (await site("/pivot/1/s", verb="POST")).code == 200
            assert noted == []
            pivots.result = PivotRefused(404, "no such")
            for _ in range(3):
                assert (await site("/pivot/1/s", verb="POST")).code == 404
    assert noted == [True] * 3


@pytest_twisted.ensureDeferred
async def test_requests_that_pivot_does_not_send_are_limited_like_all_others() -> None:
    pivots: Any = FakePivots()
    http = evolve(LOOPBACK, requests_per_second=1, request_burst=10)
    async with running_site(PivotDoorResource(pivots), http=http) as site:
        too_large = b"x=" + b"y" * MAX_ANONYMOUS_BODY_BYTES
        for verb, path, raw, refusal in (
            ("GET", "/pivot/1", None, 404),
            ("PUT", "/pivot/1/s", b"{}", 405),
            ("POST", "/pivot/1/s", too_large, 413),
        ):
            statuses = {(await site(path, verb=verb, raw=raw)).code for _ in range(12)}
            assert statuses <= {refusal, 429}
        assert (await site("/pivot/1")).code == 429
        assert (await site("/pivot/1/s")).code == 200
