"""The people of an account in a fake CouchDB: documents, and views of the names that KAZOO has."""

from __future__ import annotations

import json
from typing import Any

from kazoo_bridge.couchdb.names import account_database
from tests.couchdb.fake_couch import FakeCouch
from tests.couchdb.kazoo_cluster import CUSTOMER, USER

COLLEAGUE, GROUP, DOOR, CALLFLOW = "4" * 32, "3" * 32, "7" * 32, "6" * 32

_KINDS = ("user", "device", "group", "callflow")


def group_document(**more: Any) -> dict[str, Any]:
    """Return the document of a group with a user and a device."""
    endpoints = {USER: {"type": "user", "delay": 5}, DOOR: {"type": "device"}}
    return {"_id": GROUP, "name": "Support", "pvt_type": "group", "endpoints": endpoints} | more


def callflow_document(**more: Any) -> dict[str, Any]:
    """Return the document of a callflow that begins with a user."""
    flow = {"module": "user", "data": {"id": USER, "timeout": 20}, "children": {}}
    numbers = ["+4722555010", "2001"]
    return {"_id": CALLFLOW, "pvt_type": "callflow", "numbers": numbers, "flow": flow} | more


def install_listings(couch: FakeCouch) -> None:
    """Make the four views, whose rows have the features that each document names."""
    for kind in _KINDS:
        couch.views[f"{kind}s/crossbar_listing"] = _listing(couch, kind)


def save_people(couch: FakeCouch, account_id: str = CUSTOMER) -> None:
    """Write a colleague without devices, a door, a group and a callflow."""
    install_listings(couch)
    database = account_database(account_id)
    colleague = {"_id": COLLEAGUE, "first_name": "Bo", "last_name": "Ek", "pvt_type": "user"}
    couch.save(database, colleague | {"presence_id": "2002", "shown_features": ["caller_id"]})
    couch.save(database, {"_id": DOOR, "name": "Door", "pvt_type": "device", "sip": {"username": "door"}})
    couch.save(database, group_document())
    couch.save(database, callflow_document())


def _listing(couch: FakeCouch, kind: str) -> Any:
    def rows(database: str, query: dict[str, str]) -> list[dict[str, Any]]:
        start = json.loads(query.get("startkey", '""'))
        documents = couch.databases[database].values()
        found = sorted(
            (one for one in documents if one.get("pvt_type") == kind and not one.get("pvt_deleted")),
            key=lambda one: str(one["_id"]),
        )
        return [
            {"id": one["_id"], "key": one["_id"], "value": {"features": one.get("shown_features", [])}}
            | ({"doc": one} if query["include_docs"] == "true" else {})
            for one in found
            if one["_id"] >= start
        ][: int(query["limit"])]

    return rows
