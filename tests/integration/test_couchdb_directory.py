"""A node beside the databases of a KAZOO: tokens that KAZOO mints, and what ends them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
import requests
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from kazoo_bridge.couchdb.names import ACCOUNTS, account_database
from tests.couchdb.kazoo_cluster import (
    CHILD,
    CUSTOMER,
    DEVICE,
    MASTER,
    RESELLER,
    SIBLING,
    USER,
    KazooCluster,
)
from tests.couchdb.people_documents import GROUP, callflow_document, group_document
from tests.couchdb.server import CouchServer
from tests.integration.node_process import NodeProcess, eventually
from tests.websockets.client import WebsocketClient

pytestmark = pytest.mark.timeout(180)

UNAUTHENTICATED = 4401


@pytest.fixture(scope="module")
def node(
    tmp_path_factory: pytest.TempPathFactory, couchdb: CouchServer, cluster: KazooCluster
) -> Iterator[NodeProcess]:
    config = f"""
[directory]
kind = ["local", "couchdb"]
[couchdb]
uri = "{couchdb.uri.replace("http://", "http://kazoo:hunter2@")}"
recheck_s = 2
"""
    node = NodeProcess(tmp_path_factory.mktemp("node"), "embedded:", config)
    node.start()
    yield node
    node.stop()


def webhooks(node: NodeProcess, account_id: str, token: str) -> int:
    """Return the status of a request for the hooks of an account."""
    return node.rest("GET", f"/v2/accounts/{account_id}/webhooks", token).status_code


def test_a_token_of_kazoo_acts_for_its_account_and_those_below(
    node: NodeProcess, cluster: KazooCluster
) -> None:
    token = cluster.token(CUSTOMER, owner_id=USER)
    statuses = [
        webhooks(node, account_id, token) for account_id in (CUSTOMER, CHILD, SIBLING, RESELLER, MASTER)
    ]
    assert statuses == [200, 200, 403, 403, 403]
    assert webhooks(node, SIBLING, cluster.token(MASTER)) == 200
    assert webhooks(node, CUSTOMER, cluster.token(CUSTOMER, key="forged")) == 401
    assert webhooks(node, CUSTOMER, cluster.token(CUSTOMER, exp=int(time.time()) - 1)) == 401


def test_local_superadmins_act_beside_it(node: NodeProcess) -> None:
    node.command("account", "create", "--id", "9" * 32, "--superadmin")
    token = node.command("token", "create", "--account", "9" * 32)
    eventually(lambda: webhooks(node, CUSTOMER, token) == 200, "the local token is good")


def test_hooks_of_an_account_of_kazoo(node: NodeProcess, cluster: KazooCluster) -> None:
    token = cluster.token(CUSTOMER)
    hook = {"name": "Calls", "uri": "http://127.0.0.1:9/", "hook": "channel_create"}
    made = node.rest("PUT", f"/v2/accounts/{CUSTOMER}/webhooks", token, hook)
    assert made.status_code == 201, made.text
    listed = node.rest("GET", f"/v2/accounts/{CUSTOMER}/webhooks", token).json()["data"]
    assert [one["name"] for one in listed] == ["Calls"]


def test_an_api_key_of_kazoo_makes_a_token(node: NodeProcess) -> None:
    made = node.rest("PUT", "/v2/api_auth", data={"api_key": CUSTOMER * 2})
    assert made.status_code == 201, made.text
    assert webhooks(node, CUSTOMER, made.json()["auth_token"]) == 200
    assert node.rest("PUT", "/v2/api_auth", data={"api_key": "guess"}).status_code == 401


DIGEST = hashlib.md5(b"ingrid:correct horse").hexdigest()


@pytest.fixture(scope="module")
def people(couchdb: CouchServer, cluster: KazooCluster) -> None:
    """A user with a password, a group and a callflow of the customer, and views of the names of KAZOO's."""
    database = account_database(CUSTOMER)
    credentials = "function (doc) { if (doc.pvt_md5_auth) emit(doc.pvt_md5_auth, {owner_id: doc._id}); }"
    for kind in ("user", "device", "group", "callflow"):
        listing = f"function (doc) {{ if (doc.pvt_type === '{kind}') emit(doc._id, {{features: []}}); }}"
        views = {"crossbar_listing": {"map": listing}}
        views |= {"creds_by_md5": {"map": credentials}} if kind == "user" else {}
        couchdb.save(database, {"_id": f"_design/{kind}s", "views": views})
    couchdb.update(database, USER, pvt_md5_auth=DIGEST)
    couchdb.save(database, group_document())
    couchdb.save(database, callflow_document())


def test_people_of_kazoo(node: NodeProcess, cluster: KazooCluster, people: None) -> None:
    token, path = cluster.token(CUSTOMER), f"/v2/accounts/{CUSTOMER}"

    def read(below: str) -> Any:
        return node.rest("GET", f"{path}/{below}", token).json()["data"]

    (user,) = read("users")
    assert (user["id"], user["extensions"]) == (USER, ["2001", "+4722555010"])
    assert [(one["id"], one["username"]) for one in read("devices")] == [(DEVICE, "desk")]
    assert [(one["id"], one["endpoints"]) for one in read("groups")] == [(GROUP, 2)]
    assert "pvt_signature_secret" not in read(f"users/{USER}")
    assert node.rest("GET", f"/v2/accounts/{SIBLING}/users", token).status_code == 403


def test_a_user_of_kazoo_logs_in(node: NodeProcess, people: None) -> None:
    credentials = {"credentials": DIGEST, "account_name": "Solberg Instruments"}
    made = node.rest("PUT", "/v2/user_auth", data=credentials)
    assert made.status_code == 201, made.text
    assert made.json()["data"]["owner_id"] == USER
    assert webhooks(node, CUSTOMER, made.json()["auth_token"]) == 200
    refused = node.rest("PUT", "/v2/user_auth", data=credentials | {"credentials": "0" * 32})
    assert refused.status_code == 401


def test_monster_ui_alone_comes_from_the_login_to_the_hooks(node: NodeProcess, people: None) -> None:
    """The requests of ``core``, ``auth`` and ``jquery.kazoosdk`` in ``2600hz/monster-ui``, in their order.

    It goes on without the first and the third; a failure of one of the others would log the user out again.
    """
    assert_is_missing(node.rest("GET", "/v2/whitelabel/ui.example.com"))
    login = {"credentials": DIGEST, "account_name": "Solberg Instruments", "ui_metadata": {"version": "5"}}
    made = node.rest("PUT", "/v2/user_auth", data=login).json()
    token, account_id, user_id = made["auth_token"], made["data"]["account_id"], made["data"]["owner_id"]
    account = f"/v2/accounts/{account_id}"
    assert_is_missing(node.rest("GET", f"{account}/external_numbers", token))

    def read(path: str) -> Any:
        answered = node.rest("GET", path, token)
        assert answered.status_code == 200, answered.text
        return answered.json()

    described = read(account)
    assert described["version"]
    assert described["data"]["name"] == "Solberg Instruments"
    user = read(f"{account}/users/{user_id}")["data"]
    assert (user["id"], user["priv_level"]) == (USER, "admin")
    assert [app["name"] for app in read(f"{account}/apps_store")["data"]] == ["webhooks"]
    assert_is_missing(node.rest("GET", f"{account}/alerts", token))
    # After a reload of the page it has the token alone, which it sends in the body.
    again = node.rest("POST", "/v2/auth/tokeninfo", data={"token": token}).json()
    assert again["auth_token"] == token
    kept = ("account_id", "owner_id", "account_name", "reseller_id", "is_reseller", "is_master_account")
    assert {key: again["data"][key] for key in kept} == {key: made["data"][key] for key in kept}
    # The app of the hooks.
    assert {"channel_create", "notifications"} <= {one["id"] for one in read("/v2/webhooks")["data"]}
    assert isinstance(read(f"{account}/webhooks")["data"], list)


def assert_is_missing(answered: requests.Response) -> None:
    """Check that an answer is KAZOO's for a path that does not exist, and that a page may read it."""
    assert answered.status_code == 404
    assert answered.json()["message"] == "bad_identifier"
    assert answered.headers["Access-Control-Allow-Origin"] == "*"


@pytest_twisted.ensureDeferred
async def test_a_reset_secret_ends_the_token_and_its_socket_within_ten_seconds(
    node: NodeProcess, cluster: KazooCluster, couchdb: CouchServer
) -> None:
    token = cluster.token(CUSTOMER, owner_id=USER)
    client = await WebsocketClient(f"127.0.0.1:{node.websocket_port}").open()
    data = {"account_id": CUSTOMER, "binding": "call.*.*"}
    reply = await client.request("subscribe", data, auth_token=token)
    assert reply["status"] == "success", reply
    assert await deferToThread(webhooks, node, CUSTOMER, token) == 200
    await deferToThread(
        couchdb.update, account_database(CUSTOMER), USER, pvt_signature_secret="0123456789abcdef" * 2
    )
    code, _ = await client.closed.addTimeout(10, reactor)
    assert code == UNAUTHENTICATED
    assert await deferToThread(webhooks, node, CUSTOMER, token) == 401
    assert await deferToThread(webhooks, node, CUSTOMER, cluster.token(CUSTOMER)) == 200


def test_a_disabled_account_ends_its_tokens_within_seconds(
    node: NodeProcess, cluster: KazooCluster, couchdb: CouchServer
) -> None:
    token = cluster.token(SIBLING)
    assert webhooks(node, SIBLING, token) == 200
    couchdb.update(ACCOUNTS, SIBLING, pvt_enabled=False)
    eventually(lambda: webhooks(node, SIBLING, token) == 401, "the token is refused", 5)


def test_a_new_account_is_there_at_once(node: NodeProcess, cluster: KazooCluster) -> None:
    cluster.save_account("7" * 32)
    assert webhooks(node, "7" * 32, cluster.token("7" * 32)) == 200
    assert webhooks(node, "7" * 32, cluster.token(RESELLER)) == 200


def test_without_couchdb_what_is_known_serves_on_and_readiness_says_so(
    node: NodeProcess, cluster: KazooCluster, couchdb: CouchServer
) -> None:
    known = cluster.token(CUSTOMER)
    assert webhooks(node, CUSTOMER, known) == 200
    couchdb.stop()
    try:
        eventually(lambda: not node.is_ready(), "not ready")
        problems = requests.get(f"http://127.0.0.1:{node.port}/readyz", timeout=5).text
        assert "directory: what is known serves on" in problems
        assert webhooks(node, CUSTOMER, known) == 200
        assert webhooks(node, CUSTOMER, cluster.token(CUSTOMER, owner_id="3" * 32)) == 503
    finally:
        couchdb.start()
    cluster.populate()
    eventually(node.is_ready, "ready again", 60)
    assert webhooks(node, CUSTOMER, cluster.token(CUSTOMER, owner_id=USER)) == 200


def test_the_password_is_nowhere(node: NodeProcess) -> None:
    assert "hunter2" not in node.log_text()
    readiness = requests.get(f"http://127.0.0.1:{node.port}/readyz", timeout=5)
    assert "hunter2" not in readiness.text
