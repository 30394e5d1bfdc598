"""A node instead of KAZOO's webhooks and blackhole: a real broker, KAZOO's databases and tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pika
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from kazoo_bridge.couchdb.names import account_database
from tests.couchdb.kazoo_cluster import (
    CHILD,
    CUSTOMER,
    MASTER,
    RESELLER,
    SIBLING,
    USER,
    KazooCluster,
    account_document,
    device_document,
)
from tests.couchdb.server import CouchServer
from tests.integration.kazoo_events import call_event
from tests.integration.node_process import NodeProcess, eventually
from tests.integration.rabbitmq import RabbitNode
from tests.integration.web_receiver import WebReceiver
from tests.websockets.client import WebsocketClient

pytestmark = pytest.mark.timeout(180)

#: KAZOO's view of what a user owns.
_OWNED = (
    "function (doc) { if (doc.owner_id && !doc.pvt_deleted) emit([doc.owner_id, doc.pvt_type], doc._id); }"
)


class RestOfKazoo:
    """The bus as the applications of KAZOO use it that go on."""

    def __init__(self, uri: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(f"{uri}?heartbeat=0"))
        self._channel = self._connection.channel()
        for exchange in ("callevt", "configuration"):
            self._channel.exchange_declare(exchange, "topic", durable=False, auto_delete=False)
        self._queries = str(self._channel.queue_declare("", exclusive=True).method.queue)
        self._channel.queue_bind(self._queries, "callevt", "call.status_req.#")

    def publish(self, exchange: str, routing_key: str, body: dict[str, Any]) -> None:
        properties = pika.BasicProperties(content_type="application/json")
        self._channel.basic_publish(exchange, routing_key, json.dumps(body).encode(), properties)

    def call(self, account_id: str, call_id: str) -> None:
        self.publish("callevt", f"call.CHANNEL_CREATE.{call_id}", call_event(account_id, call_id))

    def document_edited(self, account_id: str, kind: str, document_id: str) -> None:
        """Say that a document has changed, like ``kzs_publish``."""
        database = account_database(account_id).replace("/", "%2F")
        body = {
            "Event-Category": "configuration",
            "Event-Name": "doc_edited",
            "App-Name": "crossbar",
            "App-Version": "4.0.0",
            "Msg-ID": document_id,
            "Database": database,
            "Type": kind,
            "ID": document_id,
        }
        self.publish("configuration", f"doc_edited.{database}.{kind}.{document_id}", body)

    def next_query(self) -> dict[str, Any]:
        """Return the next query for channels that comes over the bus."""

        def fetch() -> Any:
            return self._channel.basic_get(self._queries, auto_ack=True)[2]

        query: dict[str, Any] = json.loads(eventually(fetch, "a query"))
        return query

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def broker_uri(rabbit: RabbitNode) -> str:
    return rabbit.fresh_vhost()


@pytest.fixture(scope="module")
def node(
    tmp_path_factory: pytest.TempPathFactory, broker_uri: str, couchdb: CouchServer, cluster: KazooCluster
) -> Iterator[NodeProcess]:
    """A node to which only the bus and the changes of accounts say within these tests what has changed."""
    config = f"""
[directory]
kind = ["local", "couchdb"]
[couchdb]
uri = "{couchdb.uri}"
recheck_s = 60
[calls]
query_timeout_ms = 300
"""
    node = NodeProcess(tmp_path_factory.mktemp("node"), broker_uri, config)
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="module")
def kazoo(broker_uri: str, node: NodeProcess) -> Iterator[RestOfKazoo]:
    kazoo = RestOfKazoo(broker_uri)
    yield kazoo
    kazoo.close()


@pytest.fixture(scope="module")
def hooks(node: NodeProcess, cluster: KazooCluster) -> Iterator[WebReceiver]:
    """The receiver of a hook of each account, at the path of its id; all want subaccounts."""
    receiver = WebReceiver()
    for account_id in (MASTER, RESELLER, CUSTOMER, SIBLING):
        hook = {
            "name": "Calls",
            "hook": "channel_create",
            "uri": f"{receiver.url}/{account_id}",
            "include_subaccounts": True,
        }
        token = cluster.token(account_id)
        made = node.rest("PUT", f"/v2/accounts/{account_id}/webhooks", token, hook)
        assert made.status_code == 201, made.text
    yield receiver
    receiver.stop()


def reached(hooks: WebReceiver, call_id: str, count: int) -> dict[str, dict[str, str]]:
    """Wait for `count` requests for a call, and return the forms by the accounts whose hooks fired."""

    def arrived() -> dict[str, dict[str, str]]:
        return {one.path[1:]: one.form for one in hooks.arrivals if one.form["call_id"] == call_id}

    eventually(lambda: len(arrived()) >= count, f"{count} requests for {call_id}; so far {arrived()}")
    return arrived()


async def subscribed(node: NodeProcess, account_id: str, token: str) -> WebsocketClient:
    client = await WebsocketClient(f"127.0.0.1:{node.websocket_port}").open()
    data = {"account_id": account_id, "binding": "call.*.*"}
    reply = await client.request("subscribe", data, auth_token=token)
    assert reply["status"] == "success", reply
    return client


async def next_call(client: WebsocketClient) -> Any:
    event = await client.events.get().addTimeout(10, reactor)
    return event["data"]["call_id"]


@pytest_twisted.ensureDeferred
async def test_a_call_reaches_the_hooks_and_sockets_of_its_account_and_those_above(
    node: NodeProcess, cluster: KazooCluster, kazoo: RestOfKazoo, hooks: WebReceiver
) -> None:
    of_user = await subscribed(node, CUSTOMER, cluster.token(CUSTOMER, owner_id=USER))
    of_reseller = await subscribed(node, CUSTOMER, cluster.token(RESELLER))
    of_sibling = await subscribed(node, SIBLING, cluster.token(SIBLING))
    kazoo.call(CUSTOMER, "of-customer")
    forms = await deferToThread(reached, hooks, "of-customer", 3)
    assert set(forms) == {CUSTOMER, RESELLER, MASTER}
    assert forms[CUSTOMER]["reseller_id"] == RESELLER
    kazoo.call(SIBLING, "of-sibling")
    assert [await next_call(one) for one in (of_user, of_reseller, of_sibling)] == [
        "of-customer",
        "of-customer",
        "of-sibling",
    ]
    for client in (of_user, of_reseller, of_sibling):
        await client.close()


@pytest_twisted.ensureDeferred
async def test_a_message_about_a_reset_secret_ends_tokens_and_sockets(
    node: NodeProcess, cluster: KazooCluster, kazoo: RestOfKazoo, couchdb: CouchServer
) -> None:
    token = cluster.token(CUSTOMER, owner_id=USER)
    client = await subscribed(node, CUSTOMER, token)
    await deferToThread(couchdb.update, account_database(CUSTOMER), USER, pvt_signature_secret="another" * 4)
    kazoo.document_edited(CUSTOMER, "user", USER)
    assert (await client.closed.addTimeout(10, reactor))[0] == 4401
    answer = await deferToThread(node.rest, "GET", f"/v2/accounts/{CUSTOMER}/webhooks", token)
    assert answer.status_code == 401


def test_a_new_account_is_known_with_its_first_call(
    cluster: KazooCluster, kazoo: RestOfKazoo, hooks: WebReceiver
) -> None:
    cluster.save_account("7" * 32)
    kazoo.call("7" * 32, "first")
    assert set(reached(hooks, "first", 2)) == {RESELLER, MASTER}


@pytest_twisted.ensureDeferred
async def test_what_moves_leaves_those_who_were_above_it(
    node: NodeProcess, cluster: KazooCluster, kazoo: RestOfKazoo, hooks: WebReceiver
) -> None:
    token = cluster.token(CUSTOMER)
    client = await subscribed(node, CHILD, token)
    await deferToThread(cluster.save_account, CHILD, pvt_tree=[MASTER, RESELLER, SIBLING])
    notice = await client.notices.get().addTimeout(10, reactor)
    assert notice["data"]["unsubscribed"] == ["call.*.*"]
    kazoo.call(CHILD, "moved")
    assert set(await deferToThread(reached, hooks, "moved", 3)) == {SIBLING, RESELLER, MASTER}
    answer = await deferToThread(node.rest, "GET", f"/v2/accounts/{CHILD}/webhooks", token)
    assert answer.status_code == 403
    await client.close()


def test_the_channels_of_a_user_are_those_of_the_devices_in_the_database(
    node: NodeProcess, cluster: KazooCluster, kazoo: RestOfKazoo, couchdb: CouchServer
) -> None:
    database = account_database(CUSTOMER)
    couchdb.save(database, {"_id": "_design/attributes", "views": {"owned": {"map": _OWNED}}})
    couchdb.save(database, device_document(CUSTOMER, "8" * 32, sip={"username": "softphone"}))
    path = f"/v2/accounts/{CUSTOMER}/users/{USER}/channels"
    answer = node.rest("GET", path, cluster.token(CUSTOMER))
    assert (answer.status_code, answer.json()["data"]) == (200, [])
    query = kazoo.next_query()
    assert query["Event-Name"] == "query_user_channels_req"
    assert query["Usernames"] == ["desk", "softphone"]
    assert query["Realm"] == account_document(CUSTOMER)["realm"]


def test_without_couchdb_events_still_find_their_hooks(
    node: NodeProcess, cluster: KazooCluster, kazoo: RestOfKazoo, hooks: WebReceiver, couchdb: CouchServer
) -> None:
    token = cluster.token(RESELLER)
    path = f"/v2/accounts/{RESELLER}/webhooks"
    assert node.rest("GET", path, token).status_code == 200
    couchdb.stop()
    try:
        kazoo.call(CUSTOMER, "meanwhile")
        assert set(reached(hooks, "meanwhile", 3)) == {CUSTOMER, RESELLER, MASTER}
        assert node.rest("GET", path, token).status_code == 200
        assert node.rest("GET", path, cluster.token(RESELLER, owner_id="3" * 32)).status_code == 503
    finally:
        couchdb.start()
