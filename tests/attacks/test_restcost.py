"""Requests that cost the REST server more than they cost the client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from time import process_time
from urllib.parse import quote

import pytest
import pytest_twisted
from attrs import evolve

from kazoo_bridge.config import Config, Storage
from tests.rest.harness import LOOPBACK, RestHarness, running_node

SAMPLES = "/v2/webhooks/samples/webhooks_notifications"


@pytest_twisted.async_yield_fixture
async def rest(tmp_path: Path) -> AsyncIterator[RestHarness]:
    config = evolve(Config(), http=LOOPBACK, storage=Storage(f"sqlite:///{tmp_path}/b.sqlite3"))
    async with running_node(config) as harness:
        yield harness


@pytest.mark.parametrize(
    "query",
    [
        "filter_" + "." * 7900 + "=[" + "1," * 3900 + "1]",
        "filter_" + "." * 2000 + "=[" + "1," * 900 + "1]",
        "&".join(f"filter_a{number}=1" for number in range(150)),
        "filter_a=[" + ",".join(f'"{number}"' for number in range(101)) + "]",
        "&".join("has_key=" + "a." * 9 + f"b{number}" for number in range(20))
        + "&filter_x=["
        + "1," * 90
        + "2]",
        "has_key=" + "a." * 40,
        "value_missing=" + "." * 5000,
    ],
)
@pytest_twisted.ensureDeferred
async def test_costly_filters_are_refused_by_name(rest: RestHarness, query: str) -> None:
    started = process_time()
    answered = await rest("GET", f"{SAMPLES}?{query.replace('[', '%5B').replace(']', '%5D')}", token="")
    assert process_time() - started < 0.3
    assert (answered.code, answered.json_body["message"]) == (400, "validation error")
    (field,) = answered.json_body["data"]
    assert field.rstrip("…") in query
    assert len(answered.text_body) < 1000


@pytest_twisted.ensureDeferred
async def test_the_most_costly_filters_that_are_accepted_cost_little(rest: RestHarness) -> None:
    choices = quote("[" + ",".join(str(number) for number in range(90)) + "]")
    query = "&".join(["has_key=" + "a." * 9 + "b"] * 19 + [f"filter_x={choices}"])
    started = process_time()
    assert (await rest("GET", f"{SAMPLES}?{query}", token="")).code == 200
    assert process_time() - started < 0.3
