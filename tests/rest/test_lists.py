from __future__ import annotations

import pytest
import pytest_twisted

from tests.rest.rest_client import CHILD, GOOD, Client, hooks


@pytest_twisted.ensureDeferred
async def test_the_list_of_hooks_is_filtered_and_paged(rest: Client) -> None:
    for number in range(7):
        more = {"custom_data": {"number": str(number)}} if number % 2 else {}
        assert (
            await rest("PUT", hooks(), {**GOOD, "name": f"n{number}", "retries": number % 5, **more})
        ).code == 201

    async def names(query: str) -> list[str]:
        answered = await rest("GET", f"{hooks()}?{query}")
        assert answered.json_body["page_size"] == len(answered.json_body["data"])
        return [hook["name"] for hook in answered.json_body["data"]]

    everybody = [f"n{number}" for number in range(7)]
    assert await names("") == everybody
    assert await names("filter_name=n3") == ["n3"]
    assert await names("filter_retries=1&filter_not_name=n1") == ["n6"]
    assert await names("has_key=custom_data.number") == ["n1", "n3", "n5"]
    assert await names("created_from=1&modified_to=99999999999") == everybody
    assert await names("created_to=1") == []
    assert await names("_=cachebuster&whatever=1") == everybody
    found, key = [], ""
    for size in (3, 3, 1):
        envelope = (await rest("GET", f"{hooks()}?page_size=3{key}")).json_body
        assert len(envelope["data"]) == envelope["page_size"] == size
        found += [hook["name"] for hook in envelope["data"]]
        key = f"&start_key={envelope.get('next_start_key')}"
    assert found == everybody
    assert "next_start_key" not in envelope
    paged = (await rest("GET", f"{hooks()}?page_size=2&has_key=custom_data.number")).json_body
    assert [hook["name"] for hook in paged["data"]] == ["n1", "n3"]
    of_another_list = await rest("GET", f"{hooks(CHILD)}?start_key={paged['next_start_key']}")
    assert (of_another_list.code, list(of_another_list.json_body["data"])) == (400, ["start_key"])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("created_from=x", "created_from"),
        ("modified_to=", "modified_to"),
        ("page_size=0", "page_size"),
        ("page_size=x", "page_size"),
        ("start_key=x", "start_key"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_parameters_that_make_no_sense(rest: Client, query: str, field: str) -> None:
    answered = await rest("GET", f"{hooks()}?{query}")
    assert (answered.code, answered.json_body["message"]) == (400, "validation error")
    assert list(answered.json_body["data"]) == [field]
