from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any
from urllib.parse import unquote

import pytest
import pytest_twisted
from attrs import define
from twisted.application.service import IService
from twisted.internet.defer import Deferred, succeed
from zope.interface import alsoProvides

from kazoo_bridge.config import Config
from kazoo_bridge.interfaces import Account, ISipUsernames, Principal
from kazoo_bridge.node.node import Node
from kazoo_bridge.rest.http.request_context import RequestContext
from kazoo_bridge.rest.resources.channels import ChannelResource
from tests.calls.switch import SwitchNode, channel, listed
from tests.rest.fakes import FakeDirectory
from tests.rest.harness import ACCOUNT, CHILD, STRANGER, RestHarness, running_node
from tests.rest.site_harness import running_site

SLASHED = "call/2@198.51.100.7"


@define
class ChannelHarness:
    """A node, and a switch that answers it."""

    rest: RestHarness
    switch: SwitchNode

    async def __call__(
        self,
        verb: str,
        call_id: str = "",
        data: Any = None,
        *,
        body: Any = None,
        account_id: str = ACCOUNT,
        token: str | None = None,
    ) -> Any:
        """Send a request for the account's channels, `call_id` being the rest of the path (or a query)."""
        raw = None if body is None else json.dumps(body).encode()
        separator = "" if call_id[:1] in ("", "?") else "/"
        path = f"/v2/accounts/{account_id}/channels{separator}{call_id}"
        return await self.rest(verb, path, data, raw=raw, token=token)

    async def commands(self) -> list[Any]:
        """Return the commands that were published until now."""
        await self("GET", "call-1")
        return self.switch.commands


def end_queries_with_the_first_reply(node: Node) -> None:
    """The one switch of these tests has replied then: the time-out need not end, however busy the machine is.

    Queries with a condition of their own keep it.
    """
    bus: Any = node.bus
    bus.request = partial(bus.request, done_when=bool)


@pytest_twisted.async_yield_fixture
async def calls(config: Config) -> AsyncIterator[ChannelHarness]:
    channels = {
        "call-1": channel(Other_Leg_Call_ID="call-9"),
        SLASHED: channel(SLASHED),
        "foreign": channel("foreign", STRANGER),
    }
    of_account = [
        listed(f"call-{number}", timestamp=1000 + number, direction="inbound" if number % 2 else "outbound")
        for number in range(5)
    ]
    async with running_node(config) as rest:
        end_queries_with_the_first_reply(rest.node)
        yield ChannelHarness(rest, SwitchNode(rest.node.bus, channels, of_account))


@pytest_twisted.ensureDeferred
async def test_the_list_the_oldest_first_without_internals(calls: ChannelHarness) -> None:
    response = await calls("GET")
    assert response.code == 200
    assert [one["call_id"] for one in response.json_body["data"]] == [f"call-{number}" for number in range(5)]
    assert response.json_body["data"][1] == {
        "call_id": "call-1", "uuid": "call-1", "answered": True, "timestamp": 1001, "direction": "inbound"
    }  # fmt: skip
    (question,) = calls.switch.questions
    assert (question["Event-Name"], question["Account-ID"]) == ("query_account_channels_req", ACCOUNT)


@pytest_twisted.ensureDeferred
async def test_filters_and_pages(calls: ChannelHarness) -> None:
    response = await calls("GET", "?filter_direction=inbound")
    assert [one["call_id"] for one in response.json_body["data"]] == ["call-1", "call-3"]
    response = await calls("GET", "?created_from=1003")
    assert [one["call_id"] for one in response.json_body["data"]] == ["call-3", "call-4"]
    first = (await calls("GET", "?page_size=3")).json_body
    second = (await calls("GET", f"?page_size=3&start_key={first['next_start_key']}")).json_body
    assert [[one["call_id"] for one in page["data"]] for page in (first, second)] == [
        ["call-0", "call-1", "call-2"],
        ["call-3", "call-4"],
    ]
    assert "next_start_key" not in second


@pytest_twisted.ensureDeferred
async def test_the_list_is_complete_without_a_page_size(calls: ChannelHarness) -> None:
    calls.switch.of_account = [listed(f"call-{number:04}", long="x" * 1500) for number in range(1200)]
    envelope = (await calls("GET")).json_body
    assert (len(envelope["data"]), envelope["page_size"]) == (1200, 1200)
    assert "next_start_key" not in envelope


@pytest_twisted.ensureDeferred
async def test_a_table_of_channels(calls: ChannelHarness) -> None:
    calls.switch.of_account[0] |= {"custom_channel_vars": {"Owner-ID": "u1"}, "presence_id": "=cmd()"}
    response = await calls.rest(
        "GET", f"/v2/accounts/{ACCOUNT}/channels?page_size=2", headers={"Accept": "text/csv"}
    )
    assert response.code == 200
    assert response.headers.getRawHeaders("content-type") == ["text/csv; charset=utf-8"]
    names, first, second = csv.reader(io.StringIO(response.text_body))
    assert first[names.index("answered")] == "true"
    assert first[names.index("custom_channel_vars.owner_id")] == "u1"
    assert first[names.index("presence_id")] == "'=cmd()"
    assert second[names.index("call_id")] == "call-1"
    refused = await calls.rest("GET", f"/v2/accounts/{STRANGER}/channels", headers={"Accept": "text/csv"})
    assert (refused.code, refused.json_body["message"]) == (403, "forbidden")


@pytest_twisted.ensureDeferred
async def test_channels_of_users_and_devices_without_a_directory_of_devices(calls: ChannelHarness) -> None:
    calls.switch.of_account = [
        listed("owned", owner_id="u1", authorizing_id="d1"),
        listed("variables", custom_channel_vars={"Owner-ID": "u1", "Authorizing-ID": "d2"}),
        listed("other", owner_id="u2", authorizing_id="d2"),
        listed("foreign", STRANGER, owner_id="u1", authorizing_id="d1"),
    ]

    async def listed_below(path: str, token: str | None = None) -> Any:
        response = await calls.rest("GET", f"/v2/accounts/{ACCOUNT}/{path}/channels", token=token)
        data = response.json_body["data"]
        return [one["call_id"] for one in data] if response.code == 200 else (response.code, data)

    assert await listed_below("users/u1") == ["owned", "variables"]
    assert await listed_below("devices/d2") == ["other", "variables"]
    assert await listed_below("users/unknown") == []
    assert await listed_below("groups/g1") == (404, ["g1"])
    assert (await listed_below("users/u1", ""))[0] == 401


class DeviceDirectory(FakeDirectory):
    """A directory that knows devices."""

    def sip_usernames(self, account_id: str, kind: str, member_id: str) -> Deferred[Sequence[str] | None]:
        assert account_id == ACCOUNT
        known = {("user", "u1"): ["desk", "softphone"], ("device", "d1"): ["desk"], ("group", "g1"): []}
        return succeed(known.get((kind, member_id), []))


class RecordedCalls:
    """Live calls that keep what they are asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def user_channels(self, account_id: str, usernames: Sequence[str], realm: str) -> Any:
        self.asked.append((account_id, usernames, realm))
        return [{"call_id": "c1"}]

    async def all_channels(self) -> Any:
        return [{"call_id": "c1"}, {"call_id": "c2"}]


@pytest_twisted.ensureDeferred
async def test_channels_of_users_devices_groups_and_all_accounts() -> None:
    directory = DeviceDirectory(
        {ACCOUNT: Account(ACCOUNT, "", "a.example.com")},
        {"own": Principal(ACCOUNT), "root": Principal("f" * 32, superadmin=True)},
    )
    alsoProvides(directory, ISipUsernames)
    calls: Any = RecordedCalls()
    async with running_site(ChannelResource(directory, calls)) as site:

        async def read(path: str, token: str = "own") -> Any:
            response = await site(path, token=token)
            data = response.json_body["data"]
            return [one["call_id"] for one in data] if response.code == 200 else response.code

        base = f"/v2/accounts/{ACCOUNT}"
        assert await read(f"{base}/users/u1/channels") == ["c1"]
        assert await read(f"{base}/devices/d1/channels") == ["c1"]
        assert await read(f"{base}/groups/g1/channels") == []
        assert await read(f"{base}/users/none/channels") == []
        assert calls.asked == [
            (ACCOUNT, ["desk", "softphone"], "a.example.com"),
            (ACCOUNT, ["desk"], "a.example.com"),
        ]
        assert await read("/v2/channels", "root") == ["c1", "c2"]
        assert await read("/v2/channels") == 403
        assert await read("/v2/channels", "") == 401
        paged = await site("/v2/channels?page_size=1", token="root")
        assert "next_start_key" in paged.json_body
    async with running_site(ChannelResource(directory, calls, is_system_wide=False)) as site:
        assert await read("/v2/channels", "root") == 403
        assert await read("/v2/channels", "") == 401


@pytest_twisted.ensureDeferred
async def test_one_channel_whatever_is_in_its_id(calls: ChannelHarness) -> None:
    response = await calls("GET", "call-1")
    assert (response.code, response.json_body["data"]["call_id"]) == (200, "call-1")
    assert "account_id" not in response.json_body["data"]
    response = await calls("GET", "call%2F2%40198.51.100.7")
    assert (response.code, response.json_body["data"]["call_id"]) == (200, SLASHED)
    assert (await calls("POST", "call%2F2%40198.51.100.7", {"action": "hangup"})).code == 202
    (event,) = await calls.commands()
    assert event.routing_key == "metaflow.action.call%2F2%40198%2E51%2E100%2E7.hangup"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"data": {"action": "transfer", "target": "2001"}}, {"target": "2001", "transfer-type": "blind"}),
        ({"action": "transfer", "data": {"target": "2001"}}, {"target": "2001", "transfer-type": "blind"}),
        ({"action": "transfer", "target": "2001"}, {"target": "2001", "transfer-type": "blind"}),
        ({"data": {"action": "record_call", "data": {"action": "start"}}}, {"action": "start"}),
        ({"action": "record_call", "data": {"action": "start"}}, {"action": "start"}),
        ({"action": "hangup"}, {}),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_forms_of_a_command(
    calls: ChannelHarness, body: dict[str, Any], expected: dict[str, Any]
) -> None:
    response = await calls("POST", "call-1", body=body)
    name = body.get("action") or body["data"]["action"]
    assert (response.code, response.json_body["data"], response.json_body["status"]) == (
        202,
        f"{name} initiated",
        "success",
    )
    (event,) = await calls.commands()
    assert (event.body["Action"], event.body["Data"]) == (name, expected)


_FLOW = {"module": "play", "data": {"id": "welcome"}}


@pytest.mark.parametrize(
    "body",
    [
        {"action": "metaflow", "data": _FLOW},
        {"data": {"action": "metaflow", "data": _FLOW}},
        {"data": {"action": "metaflow", **_FLOW}},
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_forms_of_a_metaflow(calls: ChannelHarness, body: dict[str, Any]) -> None:
    response = await calls("PUT", "call-1", body=body)
    assert (response.code, response.json_body["data"]) == (202, "metaflow sent")
    (event,) = await calls.commands()
    assert (event.routing_key, event.body["Flow"]) == ("metaflow.flow.call-1", _FLOW)


@pytest.mark.parametrize("call_id", ["foreign", "nobody%27s", "*", "%23", "a%2Fb"])
@pytest.mark.parametrize("query_timeout_ms", [20])
@pytest_twisted.ensureDeferred
async def test_unknown_and_foreign_channels_get_nothing(
    calls: ChannelHarness, query_timeout_ms: int, call_id: str
) -> None:
    calls.switch.one["*"] = channel("*")
    for verb, body in (
        ("GET", None),
        ("POST", {"action": "hangup"}),
        ("PUT", {"action": "metaflow", "data": {"module": "hangup"}}),
    ):
        response = await calls(verb, call_id, body=body)
        assert (response.code, response.json_body["message"]) == (404, "bad identifier")
        assert response.json_body["data"] == [unquote(call_id)]
    assert await calls.commands() == []


@pytest.mark.parametrize(
    ("verb", "body", "rule"),
    [
        ("POST", {"data": {}}, "required"),
        ("POST", {"data": {"action": 5}}, "type"),
        ("POST", {"data": {"action": "explode"}}, "enum"),
        ("PUT", {"data": {"action": "hangup"}}, "enum"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_unknown_commands(calls: ChannelHarness, verb: str, body: dict[str, Any], rule: str) -> None:
    response = await calls(verb, "call-1", body=body)
    assert (response.code, response.json_body["message"]) == (400, "invalid data")
    assert list(response.json_body["data"]["action"]) == [rule]
    assert await calls.commands() == []


@pytest.mark.parametrize(
    ("verb", "body", "where"),
    [
        ("POST", {"data": {"action": "record_call", "data": {"action": "x"}}}, {"action": "enum"}),
        ("POST", {"data": {"action": "transfer"}}, {"target": "required"}),
        (
            "POST",
            {"data": {"action": "intercept", "target_type": "fax"}},
            {"target_type": "enum", "target_id": "required"},
        ),
        ("PUT", {"data": {"action": "metaflow"}}, {"module": "required"}),
        (
            "PUT",
            {"data": {"action": "metaflow", "data": {"module": "play", "children": {"1": {}}}}},
            {"children.1.module": "required"},
        ),
    ],
)
@pytest_twisted.ensureDeferred
async def test_wrong_data(
    calls: ChannelHarness, verb: str, body: dict[str, Any], where: dict[str, str]
) -> None:
    response = await calls(verb, "call-1", body=body)
    assert (response.code, response.json_body["message"]) == (400, "validation error")
    data = response.json_body["data"]
    assert {name: next(iter(rules)) for name, rules in data.items()} == where
    assert await calls.commands() == []


@pytest_twisted.ensureDeferred
async def test_rights(calls: ChannelHarness) -> None:
    assert (await calls("GET", token="")).code == 401
    assert (await calls("GET", account_id=STRANGER)).code == 403
    assert (await calls("POST", "foreign", {"action": "hangup"}, account_id=STRANGER)).code == 403
    below = await calls("GET", account_id=CHILD)
    assert (below.code, below.json_body["data"]) == (200, [])
    assert await calls.commands() == []


@pytest.mark.parametrize("query_timeout_ms", [20])
@pytest_twisted.ensureDeferred
async def test_without_a_bus(calls: ChannelHarness, query_timeout_ms: int) -> None:
    bus = IService(calls.rest.node.bus)
    bus.stopService()
    for verb, call_id in (("GET", ""), ("GET", "call-1"), ("POST", "call-1")):
        response = await calls(verb, call_id, {"action": "hangup"} if verb == "POST" else None)
        assert (response.code, response.json_body["message"]) == (503, "datastore_fault")
    bus.startService()


@pytest.mark.parametrize(("accept", "cost"), [("application/json", 6), ("text/csv", 6 + 24)])
@pytest_twisted.ensureDeferred
async def test_a_long_list_counts_as_several_requests(config: Config, accept: str, cost: int) -> None:
    charged: list[int] = []
    async with running_node(config) as rest:
        end_queries_with_the_first_reply(rest.node)
        SwitchNode(rest.node.bus, {}, [listed(f"call-{number:04}") for number in range(1200)])
        path, headers = f"/v2/accounts/{ACCOUNT}/channels", {"Accept": accept}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RequestContext, "charge", lambda _context, cost: charged.append(cost))
            assert (await rest("GET", path, headers=headers)).code == 200
            assert (await rest("GET", f"{path}?page_size=1")).code == 200
    assert charged == [cost, 6]
