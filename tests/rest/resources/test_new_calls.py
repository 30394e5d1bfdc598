from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
import pytest_twisted
from attrs import define, field

from kazoo_bridge.interfaces import (
    Account,
    BusUnavailable,
    CommandForbidden,
    CommandRefused,
    NewCall,
    NoSwitch,
    Principal,
    TokenRestrictions,
    TooManyNewCalls,
    UnknownCall,
    UnknownCommand,
)
from kazoo_bridge.rest.resources.new_calls import NewCallResource
from tests.rest.fakes import FakeDirectory
from tests.rest.harness import ACCOUNT, STRANGER
from tests.rest.site_harness import running_site

CHANNELS = f"/v2/accounts/{ACCOUNT}/channels"
USER, DEVICE = f"/v2/accounts/{ACCOUNT}/users/u1", f"/v2/accounts/{ACCOUNT}/devices/d1"

DEFAULTS = {"caller_id_name": None, "caller_id_number": None, "timeout_s": None, "auto_answer": True}


@define
class PlacedCalls:
    """New calls that keep what they are asked; `error` is raised instead."""

    asked: list[tuple[str, str, dict[str, Any]]] = field(factory=list)
    error: Exception | None = None

    async def place(
        self,
        account_id: str,
        command: str,
        data: Mapping[str, Any],
        on_outcome: Callable[[NewCall], None] | None = None,
    ) -> NewCall:
        if self.error is not None:
            raise self.error
        self.asked.append((account_id, command, dict(data)))
        return NewCall("k1", command, account_id, "c1", ("c1",), "ringing")


@define
class NewCallSite:
    site: Any
    calls: PlacedCalls

    async def __call__(self, verb: str, path: str, data: Any = None, token: str = "own") -> Any:
        return await self.site(path, verb=verb, token=token, data=data)

    async def status(self, *arguments: Any, **named: Any) -> int:
        return int((await self(*arguments, **named)).code)


@pytest_twisted.async_yield_fixture
async def rest() -> AsyncIterator[NewCallSite]:
    restrictions = {
        "channels": TokenRestrictions.parse({"channels": [{"rules": {"/": ["PUT"]}}]}),
        "quickcall": TokenRestrictions.parse({"quickcall": [{"rules": {"2003": ["GET"]}}]}),
        "devices": TokenRestrictions.parse({"devices": [{"rules": {"#": ["_"]}}]}),
    }
    directory = FakeDirectory(
        {ACCOUNT: Account(ACCOUNT, "", ""), STRANGER: Account(STRANGER, "", "")},
        {"own": Principal(ACCOUNT), "stranger": Principal(STRANGER)}
        | {name: Principal(ACCOUNT, restrictions=one) for name, one in restrictions.items()},
    )
    calls: Any = PlacedCalls()
    async with running_site(NewCallResource(directory, calls)) as site:
        yield NewCallSite(site, calls)


@pytest_twisted.ensureDeferred
async def test_the_command_in_each_of_its_forms(rest: NewCallSite) -> None:
    data = {"from_type": "user", "from_id": "u1", "to": "2003"}
    response = await rest("PUT", CHANNELS, {"action": "originate", "data": data})
    assert response.code == 202
    assert response.json_body["data"] == {
        "command_id": "k1",
        "command": "originate",
        "account_id": ACCOUNT,
        "call_id": "c1",
        "call_ids": ["c1"],
        "status": "ringing",
    }
    assert await rest.status("PUT", CHANNELS, {"action": "eavesdrop", **data}) == 202
    assert rest.calls.asked == [(ACCOUNT, "originate", data), (ACCOUNT, "eavesdrop", data)]


@pytest_twisted.ensureDeferred
async def test_refusals(rest: NewCallSite) -> None:
    required = {"to": {"required": {"message": "this field is required"}}}
    for error, code, word in (
        (CommandRefused(required), 400, "validation error"),
        (UnknownCommand(required), 400, "invalid data"),
        (CommandForbidden("calls.allow_eavesdrop is false"), 403, "forbidden"),
        (UnknownCall("c9"), 404, "bad identifier"),
        (TooManyNewCalls(7), 429, "too_many_requests"),
        (NoSwitch("no part of KAZOO executes originate"), 503, "datastore_fault"),
        (BusUnavailable("away"), 503, "datastore_fault"),
    ):
        rest.calls.error = error
        response = await rest("PUT", CHANNELS, {"action": "originate"})
        assert (response.code, response.json_body["message"]) == (code, word)
        if code == 429:
            assert response.headers.getRawHeaders("retry-after") == ["7"]
    rest.calls.error = None
    assert await rest.status("PUT", CHANNELS, {}) == 400
    assert rest.calls.asked == []


@pytest_twisted.ensureDeferred
async def test_quickcall_of_users_and_devices(rest: NewCallSite) -> None:
    assert await rest.status("GET", f"{USER}/quickcall/2003") == 202
    assert await rest.status("POST", f"{DEVICE}/quickcall/+1%20(555)%20555-0100") == 202
    assert await rest.status("GET", f"{DEVICE}/quickcall/**2003") == 202
    assert rest.calls.asked == [
        (ACCOUNT, "originate", {"from_type": "user", "from_id": "u1", "to": "2003", **DEFAULTS}),
        (ACCOUNT, "originate", {"from_type": "device", "from_id": "d1", "to": "+15555550100", **DEFAULTS}),
        (ACCOUNT, "originate", {"from_type": "device", "from_id": "d1", "to": "**2003", **DEFAULTS}),
    ]


@pytest_twisted.ensureDeferred
async def test_crossbars_parameters(rest: NewCallSite) -> None:
    query = "?auto_answer=false&cid-name=Ada&cid-number=2001&timeout=20&number_filter=false"
    await rest("GET", f"{USER}/quickcall/a.b{query}")
    await rest("POST", f"{USER}/quickcall/2003", {"timeout": 25, "auto_answer": False})
    await rest("GET", f"{USER}/quickcall/2003?timeout=soon")
    first, second, third = (data for _, _, data in rest.calls.asked)
    assert first == {
        "from_type": "user",
        "from_id": "u1",
        "to": "a.b",
        "caller_id_name": "Ada",
        "caller_id_number": "2001",
        "timeout_s": 20,
        "auto_answer": False,
    }
    assert (second["timeout_s"], second["auto_answer"]) == (25, False)
    assert third["timeout_s"] == "soon"


@pytest_twisted.ensureDeferred
async def test_a_head_request_makes_no_call(rest: NewCallSite) -> None:
    assert await rest.status("HEAD", f"{USER}/quickcall/2003") == 405
    assert rest.calls.asked == []


@pytest.mark.parametrize(
    ("token", "allowed"),
    [
        ("", []),
        ("stranger", []),
        ("channels", ["channels"]),
        ("quickcall", ["quickcall"]),
        ("devices", []),
        ("own", ["channels", "quickcall"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_tokens_and_their_restrictions(rest: NewCallSite, token: str, allowed: list[str]) -> None:
    found = {
        "channels": await rest.status("PUT", CHANNELS, {"action": "originate"}, token=token),
        "quickcall": await rest.status("GET", f"{DEVICE}/quickcall/2003", token=token),
    }
    refused = 401 if not token else 403
    assert found == {name: 202 if name in allowed else refused for name in found}
