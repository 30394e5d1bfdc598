from __future__ import annotations

from typing import Any

import pytest_twisted

from tests.rest.harness import RestHarness

TOP, MIDDLE, LEFT, RIGHT, LEAF = ("0" * 31 + digit for digit in "12345")


async def grown(rest: RestHarness) -> dict[str, str]:
    """A tree beside that of the fixture; a token for each of its accounts."""
    accounts = rest.node.accounts
    await accounts.create(TOP, name="Top", realm="top.example", superadmin=True)
    await accounts.create(MIDDLE, parent_id=TOP, name="Middle", realm="middle.example")
    await accounts.create(LEFT, parent_id=MIDDLE, name="Zoë", realm="left.example")
    await accounts.create(RIGHT, parent_id=MIDDLE, name="Anna", realm="right.example")
    await accounts.create(LEAF, parent_id=LEFT, name="Leaf")
    await rest.node.directory.load()
    return {one: (await rest.node.tokens.create(one)).token for one in (TOP, MIDDLE, LEFT, RIGHT, LEAF)}


async def data(rest: RestHarness, path: str, token: str) -> Any:
    answered = await rest("GET", f"/v2/accounts/{path}", token=token)
    assert answered.code == 200, answered.text_body
    return answered.json_body["data"]


@pytest_twisted.ensureDeferred
async def test_an_account(rest: RestHarness) -> None:
    tokens = await grown(rest)
    flags = {"enabled": True, "is_reseller": False, "superduper_admin": False}
    assert await data(rest, LEFT, tokens[LEFT]) == {
        "id": LEFT,
        "name": "Zoë",
        "realm": "left.example",
        "reseller_id": MIDDLE,
        **flags,
    }
    assert await data(rest, TOP, tokens[TOP]) == {
        "id": TOP,
        "name": "Top",
        "realm": "top.example",
        **flags,
        "superduper_admin": True,
    }
    assert (await rest("GET", f"/v2/accounts/{LEFT}", token="")).code == 401
    assert (await rest("GET", f"/v2/accounts/{LEFT}", token="bad")).code == 401
    assert (await rest("GET", f"/v2/accounts/{LEFT}", token=tokens[RIGHT])).code == 403
    assert (await rest("GET", f"/v2/accounts/{MIDDLE}", token=tokens[LEFT])).code == 403


@pytest_twisted.ensureDeferred
async def test_those_above(rest: RestHarness) -> None:
    tokens = await grown(rest)
    top, middle, left = (
        {"id": TOP, "name": "Top"},
        {"id": MIDDLE, "name": "Middle"},
        {"id": LEFT, "name": "Zoë"},
    )
    assert await data(rest, f"{LEAF}/parents", tokens[LEAF]) == []
    assert await data(rest, f"{LEAF}/parents", tokens[MIDDLE]) == [middle, left]
    assert await data(rest, f"{LEAF}/parents", tokens[TOP]) == [top, middle, left]
    assert await data(rest, f"{TOP}/parents", tokens[TOP]) == []
    assert await data(rest, f"{LEAF}/tree", tokens[LEAF]) == []
    assert await data(rest, f"{LEAF}/tree", tokens[MIDDLE]) == [middle, left]
    assert await data(rest, f"{LEAF}/tree", tokens[TOP]) == [top, middle, left]
    assert (await rest("GET", f"/v2/accounts/{LEAF}/parents", token=tokens[MIDDLE])).json_body[
        "page_size"
    ] == 2
    for path in ("parents", "tree", "children", "descendants"):
        assert (await rest("GET", f"/v2/accounts/{LEAF}/{path}", token=tokens[RIGHT])).code == 403


@pytest_twisted.ensureDeferred
async def test_those_below(rest: RestHarness) -> None:
    tokens = await grown(rest)
    anna = {"id": RIGHT, "name": "Anna", "realm": "right.example"}
    zoe = {"id": LEFT, "name": "Zoë", "realm": "left.example"}
    leaf = {"id": LEAF, "name": "Leaf", "realm": ""}
    assert await data(rest, f"{MIDDLE}/children", tokens[MIDDLE]) == [
        anna | {"descendants_count": 0},
        zoe | {"descendants_count": 1},
    ]
    assert await data(rest, f"{MIDDLE}/descendants", tokens[MIDDLE]) == [
        anna | {"tree": [TOP, MIDDLE]},
        leaf | {"tree": [TOP, MIDDLE, LEFT]},
        zoe | {"tree": [TOP, MIDDLE]},
    ]
    assert await data(rest, f"{LEAF}/children", tokens[LEAF]) == []
    assert await data(rest, f"{MIDDLE}/descendants?filter_name=Leaf", tokens[TOP]) == [
        leaf | {"tree": [TOP, MIDDLE, LEFT]}
    ]
    first = (
        await rest("GET", f"/v2/accounts/{MIDDLE}/descendants?page_size=2", token=tokens[MIDDLE])
    ).json_body
    assert [one["name"] for one in first["data"]] == ["Anna", "Leaf"]
    rest_of = f"{MIDDLE}/descendants?page_size=2&start_key={first['next_start_key']}"
    assert [one["name"] for one in await data(rest, rest_of, tokens[MIDDLE])] == ["Zoë"]
