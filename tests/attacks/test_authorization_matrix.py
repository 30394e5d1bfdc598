"""Who may do what, for every route, binding and command, and every kind of directory.

The rows are written by hand, the rest is generated: a route, an action or a command without a row fails.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted
import treq
from prometheus_client import CollectorRegistry
from twisted.internet import reactor as installed_reactor
from twisted.internet.endpoints import serverFromString
from twisted.web.client import HTTPConnectionPool
from twisted.web.http_headers import Headers

from kazoo_bridge.calls.command_schemas import COMMAND_SCHEMAS
from kazoo_bridge.calls.new_calls.request import NEW_CALL_SCHEMAS
from kazoo_bridge.config import Http
from kazoo_bridge.interfaces import IDirectory, StorageUnavailable
from kazoo_bridge.pivot.point import PIVOT_SCHEMA
from kazoo_bridge.plugins.discovery import find_categories
from kazoo_bridge.rest.http.routing import make_app
from kazoo_bridge.rest.resources.console import WebsocketLocation
from kazoo_bridge.rest.routes import RestServices, build_resources
from kazoo_bridge.rest.server.site import make_site
from kazoo_bridge.token_bucket import TokenBucket
from kazoo_bridge.webhooks.hooks.hook_document import document_schema
from kazoo_bridge.webhooks.hooks.hook_secrets import SECRET_PROPERTIES
from kazoo_bridge.websockets.actions import Actions
from kazoo_bridge.websockets.client_messages import BadMessage, parse
from kazoo_bridge.websockets.sessions.authorization import AccessDenied, Authorizer
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.subscriptions.binding_catalogue import BindingCatalogue
from tests.attacks.directories import ACTORS, KINDS, SELF, ActedDirectory, may_act

reactor: Any = installed_reactor

#: Anybody may.
OPEN = """
GET /healthz
GET /readyz
GET /metrics
GET /openapi.json
GET /
GET /console
GET /console/settings.json
GET /console/<path:name>
GET /docs
GET /docs/<path:name>
GET /docs/api
GET /docs/api/<path:name>
GET /v2/webhooks
GET /v2/webhooks/samples
GET /v2/webhooks/samples/<sample_id>
GET /v2/websockets
PUT /v2/api_auth
PUT /v2/user_auth
GET /pivot/<pivot_point_id>/<secret>
POST /pivot/<pivot_point_id>/<secret>
POST /pivot/<pivot_point_id>/<secret>/cdr
POST /v2/auth/tokeninfo
"""

#: Every valid token may.
TOKEN = """
PUT /v2/accounts
GET /v2/about
GET /v2/token_auth
PUT /v2/accounts
DELETE /v2/token_auth
"""

#: The account in the path may, and accounts above it.
ACCOUNT = """
GET /v2/accounts/<account_id>
PUT /v2/accounts/<account_id>
POST /v2/accounts/<account_id>
PATCH /v2/accounts/<account_id>
GET /v2/accounts/<account_id>/api_key
PUT /v2/accounts/<account_id>/api_key
GET /v2/accounts/<account_id>/tokens
DELETE /v2/accounts/<account_id>/tokens/<token_id>
GET /v2/accounts/<account_id>/parents
GET /v2/accounts/<account_id>/tree
GET /v2/accounts/<account_id>/children
GET /v2/accounts/<account_id>/descendants
GET /v2/accounts/<account_id>/webhooks
PUT /v2/accounts/<account_id>/webhooks
PATCH /v2/accounts/<account_id>/webhooks
PATCH /v2/accounts/<account_id>/descendants/webhooks
GET /v2/accounts/<account_id>/webhooks/health
GET /v2/accounts/<account_id>/webhooks/attempts
POST /v2/accounts/<account_id>/webhooks/attempts/<attempt_id>/replay
GET /v2/accounts/<account_id>/webhooks/deliveries
POST /v2/accounts/<account_id>/webhooks/deliveries/recover
GET /v2/accounts/<account_id>/webhooks/<hook_id>
POST /v2/accounts/<account_id>/webhooks/<hook_id>
PATCH /v2/accounts/<account_id>/webhooks/<hook_id>
DELETE /v2/accounts/<account_id>/webhooks/<hook_id>
POST /v2/accounts/<account_id>/webhooks/<hook_id>/test
POST /v2/accounts/<account_id>/webhooks/<hook_id>/secret
DELETE /v2/accounts/<account_id>/webhooks/<hook_id>/secret
GET /v2/accounts/<account_id>/webhooks/<hook_id>/attempts
POST /v2/accounts/<account_id>/webhooks/<hook_id>/attempts/<attempt_id>/replay
GET /v2/accounts/<account_id>/webhooks/<hook_id>/deliveries
POST /v2/accounts/<account_id>/webhooks/<hook_id>/deliveries/recover
POST /v2/accounts/<account_id>/webhooks/<hook_id>/deliveries/<delivery_id>/retry
GET /v2/accounts/<account_id>/configs/webhooks
GET /v2/accounts/<account_id>/websockets
GET /v2/accounts/<account_id>/websockets/<socket_id>
DELETE /v2/accounts/<account_id>/websockets/<socket_id>
GET /v2/accounts/<account_id>/events
GET /v2/accounts/<account_id>/apps_store
GET /v2/accounts/<account_id>/apps_store/<app_id>
GET /v2/accounts/<account_id>/users
GET /v2/accounts/<account_id>/users/<user_id>
GET /v2/accounts/<account_id>/devices
GET /v2/accounts/<account_id>/devices/<device_id>
GET /v2/accounts/<account_id>/groups
GET /v2/accounts/<account_id>/groups/<group_id>
GET /v2/accounts/<account_id>/traces/<path:trace_id>
GET /v2/accounts/<account_id>/users/<user_id>/channels
GET /v2/accounts/<account_id>/devices/<device_id>/channels
GET /v2/accounts/<account_id>/groups/<group_id>/channels
GET /v2/accounts/<account_id>/users/<user_id>/quickcall/<number>
POST /v2/accounts/<account_id>/users/<user_id>/quickcall/<number>
GET /v2/accounts/<account_id>/devices/<device_id>/quickcall/<number>
POST /v2/accounts/<account_id>/devices/<device_id>/quickcall/<number>
GET /v2/accounts/<account_id>/channels
PUT /v2/accounts/<account_id>/channels
GET /v2/accounts/<account_id>/channels/<path:call_id>
POST /v2/accounts/<account_id>/channels/<path:call_id>
PUT /v2/accounts/<account_id>/channels/<path:call_id>
GET /v2/accounts/<account_id>/pivots
PUT /v2/accounts/<account_id>/pivots
GET /v2/accounts/<account_id>/pivots/<pivot_point_id>
POST /v2/accounts/<account_id>/pivots/<pivot_point_id>
PATCH /v2/accounts/<account_id>/pivots/<pivot_point_id>
DELETE /v2/accounts/<account_id>/pivots/<pivot_point_id>
POST /v2/accounts/<account_id>/pivots/<pivot_point_id>/secret
GET /v2/accounts/<account_id>/pivots/<pivot_point_id>/requests
POST /v2/accounts/<account_id>/pivots/<pivot_point_id>/requests/<pivot_id>
"""

#: Accounts above the account in the path may.
ABOVE = """
DELETE /v2/accounts/<account_id>
POST /v2/accounts/<account_id>/configs/webhooks
PATCH /v2/accounts/<account_id>/configs/webhooks
DELETE /v2/accounts/<account_id>/configs/webhooks
"""

#: Super-admins may.
ALL_ACCOUNTS = """
GET /v2/channels
GET /v2/nodes
GET /v2/traces/<path:trace_id>
"""

ROWS = {
    row: name
    for name, text in {
        "open": OPEN,
        "token": TOKEN,
        "account": ACCOUNT,
        "above": ABOVE,
        "all accounts": ALL_ACCOUNTS,
    }.items()
    for row in text.split("\n")
    if row
}

#: Actions of a socket, and whether they need a right to the account in the message.
ACTION_ROWS = {
    "subscribe": True,
    "command": True,
    "pivot": True,
    "unsubscribe": False,
    "ping": False,
    "noop": False,
    "resume": False,
}


class Reached:
    """Stands for the services of a node: a call shows that the request was allowed."""

    hook_types = ()
    document_schema = document_schema(())
    secret_schemas = SECRET_PROPERTIES
    pivot_schema = PIVOT_SCHEMA

    def __getattr__(self, name: str) -> Any:
        def reached(*_arguments: Any, **_named: Any) -> Any:
            raise StorageUnavailable("reached")

        return reached


async def _no_metrics() -> CollectorRegistry:
    return CollectorRegistry()


async def _no_problems() -> list[str]:
    return []


def make_resources(directory: Any) -> Any:
    reached: Any = Reached()
    return build_resources(
        RestServices(
            clock=reactor,
            directory=cast(IDirectory, directory),
            accounts=reached,
            webhooks=reached,
            websockets=reached,
            calls=reached,
            pivots=reached,
            pivot_base_uri="",
            nodes=reached,
            websocket_location=WebsocketLocation(uri="", secure=False, port=lambda: 0),
            read_metrics=_no_metrics,
            readiness_problems=_no_problems,
            degradations=list,
        )
    )


def list_routes() -> list[str]:
    """Return the routes, the one that ends tokens last."""
    rules = make_app(make_resources(None)).url_map.iter_rules()
    routes = [
        f"{method} {rule.rule}"
        for rule in rules
        for method in sorted(rule.methods or ())
        if method not in ("HEAD", "OPTIONS")
    ]
    return sorted(routes, key=lambda route: (route == "DELETE /v2/token_auth", route))


def expected_status(kind: str, actor: str, route: str) -> int | None:
    """Return 401 or 403; None: the request is allowed."""
    row = ROWS[route]
    if row == "open":
        return None
    if actor in ("none", "expired", "wrong signature"):
        return 401
    if actor == "restricted":
        return None if re.match(r"GET /v2/accounts/<account_id>/webhooks(/|$)", route) else 403
    if row == "token":
        return None
    allowed = may_act(kind, actor) and not (row == "above" and actor == "self")
    if row == "all accounts":
        allowed = allowed and actor == "super-admin"
    return None if allowed else 403


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_twisted.async_yield_fixture
async def acted(kind: str, tmp_path: Path) -> AsyncIterator[ActedDirectory]:
    async with KINDS[kind](tmp_path) as acted:
        yield acted


def test_every_route_has_a_row() -> None:
    assert set(list_routes()) == set(ROWS)


@pytest_twisted.ensureDeferred
async def test_routes(kind: str, acted: ActedDirectory) -> None:
    directory: Any = acted.directory
    http = Http("tcp:0:interface=127.0.0.1", requests_per_second=0, connection_burst=1_000_000)
    site = make_site(reactor, make_resources(directory), "node", directory, http)
    port = await serverFromString(reactor, http.endpoint).listen(site)
    pool = HTTPConnectionPool(reactor)
    wrong = []
    for route in list_routes():
        method, rule = route.split(" ")
        path = re.sub(r"<\w+>", "x", re.sub(r"<path:\w+>", "x", rule.replace("<account_id>", SELF)))
        for actor in ACTORS if ROWS[route] != "open" else ("none", "expired", "self"):
            token = acted.tokens[actor]
            response: Any = await treq.request(
                method,
                f"http://127.0.0.1:{port.getHost().port}{path}",
                headers=Headers({} if token is None else {"X-Auth-Token": [token]}),
                data=None if method in ("GET", "DELETE") else b'{"data": {}}',
                pool=pool,
                allow_redirects=False,
            )
            await response.content()
            status = response.code if response.code in (401, 403) else None
            if status != expected_status(kind, actor, route):
                wrong.append((route, actor, response.code))
    await pool.closeCachedConnections()
    await port.stopListening()
    assert wrong == []


class SocketHarness:
    """Carries out messages of a session with a token, without a connection."""

    def __init__(self, acted: ActedDirectory) -> None:
        reached: Any = Reached()
        directory: Any = acted.directory
        self.authorizer = Authorizer(reactor, directory)
        self.actions = Actions(reactor, reached, self.authorizer, reached, reached, reached, reached)
        self.session = Session("s", "192.0.2.1", "host", 0.0, TokenBucket(1, 1.0), 0.0)

    async def is_allowed(self, token: str | None, action: str, data: dict[str, Any]) -> bool:
        """Return whether the message is not denied."""
        message = parse({"action": action, "auth_token": token, "data": data})
        connection: Any = self
        try:
            await self.authorizer.authenticate(self.session, message.token)
            await self.actions._action(action)(connection, message)
        except AccessDenied:
            return False
        except (StorageUnavailable, BadMessage):
            return True
        return True


def test_every_action_has_a_row() -> None:
    actions: Any = SocketHarness(ActedDirectory(cast(Any, None), {})).actions
    with pytest.raises(BadMessage) as caught:
        actions._action("none of them")
    assert set(str(caught.value).rpartition("known are ")[2].split(", ")) == set(ACTION_ROWS)


def list_messages() -> list[tuple[str, dict[str, Any]]]:
    """Return a message for each binding and each command, and for each other action."""
    bindings = BindingCatalogue.from_categories(find_categories()).by_category()
    messages: list[tuple[str, dict[str, Any]]] = [
        ("subscribe", {"account_id": SELF, "binding": binding})
        for of_category in bindings.values()
        for binding in of_category
    ]
    for command in (*COMMAND_SCHEMAS, "metaflow"):
        messages.append(("command", {"account_id": SELF, "call_id": "x", "command": command, "data": {}}))
    messages.append(("pivot", {"account_id": SELF, "pivot_id": "x"}))
    for command in NEW_CALL_SCHEMAS:
        messages.append(("command", {"account_id": SELF, "command": command, "data": {}}))
    messages += [(action, {}) for action in ("unsubscribe", "ping", "noop", "resume")]
    return messages


@pytest_twisted.ensureDeferred
async def test_bindings_and_commands(kind: str, acted: ActedDirectory) -> None:
    wrong = []
    messages = list_messages()
    assert {action for action, _ in messages} == set(ACTION_ROWS)
    for actor in ACTORS:
        token = acted.tokens[actor]
        for action, data in messages:
            allowed = await SocketHarness(acted).is_allowed(token, action, data)
            has_token = actor not in ("none", "expired", "wrong signature")
            # The restricted actor may not read the account's events, nor send commands.
            has_right = may_act(kind, actor) and actor != "restricted"
            if allowed is not (has_token and (has_right or not ACTION_ROWS[action])):
                wrong.append((action, data, actor, allowed))
    assert len(messages) > 40
    assert wrong == []
