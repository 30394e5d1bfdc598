"""A node beside the databases of a KAZOO: tokens that KAZOO mints, and what ends them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

import pytest
import pytest_twisted
import requests
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from kazoo_bridge.couchdb.names import ACCOUNTS, account_database
from tests.couchdb.kazoo_cluster import CHILD, CUSTOMER, MASTER, RESELLER, SIBLING, USER, KazooCluster
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


def test_a_user_of_kazoo_logs_in(node: NodeProcess, couchdb: CouchServer) -> None:
    digest = hashlib.md5(b"ingrid:correct horse").hexdigest()
    database = account_database(CUSTOMER)
    view = {"map": "function (doc) { if (doc.pvt_md5_auth) emit(doc.pvt_md5_auth, {owner_id: doc._id}); }"}
    couchdb.save(database, {"_id": "_design/users", "views": {"creds_by_md5": view}})
    couchdb.update(database, USER, pvt_md5_auth=digest)
    credentials = {"credentials": digest, "account_name": "Solberg Instruments"}
    made = node.rest("PUT", "/v2/user_auth", data=credentials)
    assert made.status_code == 201, made.text
    assert made.json()["data"]["owner_id"] == USER
    assert webhooks(node, CUSTOMER, made.json()["auth_token"]) == 200
    refused = node.rest("PUT", "/v2/user_auth", data=credentials | {"credentials": "0" * 32})
    assert refused.status_code == 401


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
