"""Says what happened to an event: what the nodes have in memory, joined with what is in the storage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from attrs import frozen
from sqlalchemy import Connection
from twisted.logger import Logger

from kazoo_bridge.event_traces import MAX_ID_LENGTH, EventTraces
from kazoo_bridge.interfaces import InvalidMessage, StoredAttempt, StoredDelivery
from kazoo_bridge.node.node_queries import REPLY_TIMEOUT, NodeQueryClient
from kazoo_bridge.storage.trace_records import TraceRecords, find_records
from kazoo_bridge.webhooks.event_explainer import MAX_EVENTS, EventExplainer

T = TypeVar("T")

_log = Logger()

#: The query to the nodes.
TRACE = "trace"

#: Ids in one query, and accounts.
MAX_IDS, MAX_ACCOUNTS = 200, 100_000

#: Seconds that a node may take to look at all its events and at all hooks of their accounts.
ANSWER_TIMEOUT = 10.0

#: What is shown of the document of an attempt.
_ATTEMPT_KEYS = (
    "hook_id",
    "account_id",
    "event_id",
    "method",
    "uri",
    "result",
    "resp_status_code",
    "reason",
    "client_error",
    "retries_left",
    "test",
)


@frozen
class TraceResponder:
    """Answers for one node what it has in memory."""

    _explainer: EventExplainer
    _webhooks: EventTraces
    _sockets: EventTraces

    async def answer(self, body: Mapping[str, Any]) -> Any:
        """Return the events with one of the ids in ``IDs``. Raises `InvalidMessage`."""
        ids = _texts(body, "IDs", MAX_IDS) or ()
        accounts = _texts(body, "Account-IDs", MAX_ACCOUNTS)
        events = await self._explainer.explain(ids, None if accounts is None else frozenset(accounts))
        if accounts is not None:
            # Sockets have no part in the account of an event: its messages are known from the webhooks.
            ids = [event["msg_id"] for event in events]
        return {
            "events": events,
            "sockets": self._socket_events(ids),
            "kept_events": len(self._webhooks),
            "kept_since": self._webhooks.oldest,
        }

    def _socket_events(self, ids: Collection[str]) -> list[dict[str, Any]]:
        return [
            {
                "received": trace.received,
                "routing_key": trace.routing_key,
                "msg_id": trace.message_id,
                "call_id": trace.call_id,
                "sockets": trace.result,
            }
            for trace in self._sockets.find(ids, MAX_EVENTS)
        ]


def _texts(body: Mapping[str, Any], key: str, limit: int) -> Sequence[str] | None:
    texts = body.get(key)
    if texts is None:
        return None
    if (
        not isinstance(texts, list)
        or len(texts) > limit
        or not all(isinstance(text, str) and len(text) <= MAX_ID_LENGTH for text in texts)
    ):
        raise InvalidMessage(f"{key}: expected a list of at most {limit} ids")
    return texts


@frozen
class Tracer:
    """Joins what all nodes say with what is in the storage; `read` runs a function in a transaction."""

    _nodes: NodeQueryClient
    _read: Callable[[Callable[[Connection], TraceRecords]], Awaitable[TraceRecords]]

    async def trace(self, wanted: str, accounts: Collection[str] | None) -> dict[str, Any]:
        """See `INodes.trace`."""
        known = await self._records(wanted, (), accounts)
        ids = [wanted, *sorted(known.event_ids)]
        arguments: dict[str, Any] = {"IDs": ids[:MAX_IDS]}
        if len(ids) > MAX_IDS:
            _log.warn(
                "trace does not ask nodes for all ids asked={asked} ids={ids}", asked=MAX_IDS, ids=len(ids)
            )
        if accounts is not None:
            arguments["Account-IDs"] = sorted(accounts)[:MAX_ACCOUNTS]
            if len(accounts) > MAX_ACCOUNTS:
                _log.warn(
                    "trace does not ask nodes for all accounts asked={asked} accounts={accounts}",
                    asked=MAX_ACCOUNTS,
                    accounts=len(accounts),
                )
        nodes = await self._ask_nodes(arguments)
        event_ids = {
            str(event["event_id"]) for node in nodes for event in node["events"] if event.get("event_id")
        } | known.event_ids
        if event_ids - known.event_ids:
            # Those first whose records were not found with the wanted id.
            ids = sorted(event_ids, key=lambda one: (one in known.event_ids, one))
            known = await self._records(wanted, ids[:MAX_IDS], accounts)
        return {
            "id": wanted,
            "nodes": nodes,
            "attempts": [_shown_attempt(one) for one in known.attempts],
            "deliveries": [_shown_delivery(one) for one in known.deliveries],
        }

    async def _ask_nodes(self, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return what each node says. Of a node that is there and does not answer, that is said."""
        names = await self._nodes.names()
        timeout = ANSWER_TIMEOUT if names else REPLY_TIMEOUT
        replies = await self._nodes.ask(TRACE, arguments, timeout, names)
        silent = sorted(names - {reply.node for reply in replies})
        return [
            *(_checked(reply.node, reply.data) for reply in replies),
            *({**_checked(name, None), "problem": f"no answer within {timeout:g} s"} for name in silent),
        ]

    async def _records(
        self, wanted: str, event_ids: Collection[str], accounts: Collection[str] | None
    ) -> TraceRecords:
        return await self._read(partial(find_records, text=wanted, event_ids=event_ids, accounts=accounts))


def _checked(node: str, data: Any) -> dict[str, Any]:
    """Return a node's answer, with lists of objects whatever it has sent."""
    data = data if isinstance(data, dict) else {}
    lists = {name: _objects(data.get(name)) for name in ("events", "sockets")}
    return {**data, **lists, "node": node}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _shown_attempt(attempt: StoredAttempt) -> dict[str, Any]:
    document = attempt.document
    headers = document.get("req_headers")
    return {
        "made_at": attempt.made_at,
        "delivery_id": headers.get("webhook-id") if isinstance(headers, dict) else None,
        **{name: document[name] for name in _ATTEMPT_KEYS if name in document},
    }


def _shown_delivery(stored: StoredDelivery) -> dict[str, Any]:
    delivery = stored.delivery
    return {
        "delivery_id": delivery.id,
        "hook_id": delivery.hook_id,
        "account_id": delivery.account_id,
        "event_id": delivery.event_id,
        "status": stored.status,
        "attempts": delivery.attempts,
        "created": delivery.created,
        "changed": stored.changed_at,
        "next_attempt": stored.next_attempt if stored.status == "pending" else None,
        "reason": stored.reason,
    }
