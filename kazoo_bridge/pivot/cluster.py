"""Reaches the clients of other nodes: asks them over the bus, and takes their answers.

All messages are on the exchange ``sysconf``, with keys that KAZOO does not use. A node announces itself when
it starts and regularly afterwards, so that the other nodes know from how many they expect a reply. Each
question is published in any case: a node that is not known yet receives it, too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import (
    BusUnavailable,
    IBus,
    IConsumer,
    InvalidMessage,
    Queue,
    Topic,
)
from kazoo_bridge.kazoo import Event, build_envelope, encode_key_part, is_account_id
from kazoo_bridge.pivot.question import ClientAddress

_log = Logger()

_EXCHANGE, _CATEGORY = "sysconf", "pivot"

#: Seconds to wait for the replies of other nodes about their clients, and for the result of an answer.
ASK_TIMEOUT, RESULT_TIMEOUT = 0.25, 2.0

#: Seconds between two announcements of a node, and after the last message of a node until it counts as gone.
ANNOUNCE_INTERVAL, NODE_TIMEOUT = 5.0, 16.0

#: Other nodes that are remembered; without a message for the longest time, a node is forgotten first.
MAX_NODES = 100

#: Sends the event of another node's question to this node's clients of a pivot point (account, name), or only
#: to some of them; returns those. Without an event, returns those that it would be sent to.
OnQuestion = Callable[[str, str, "Mapping[str, Any] | None", "Sequence[str] | None"], Sequence[str]]

#: Takes an answer that a client of another node has given; returns the result as that node gets it.
OnAnswer = Callable[[Mapping[str, Any]], Mapping[str, Any]]

#: Receives the account, the id of a call, and the client that another node has let answer it.
OnClient = Callable[[str, str, ClientAddress], None]


@define(eq=False)
class PivotCluster:
    """The other nodes, as far as pivot points need them.

    `node_id` names this process among the nodes, in routing keys. `on_question`, `on_answer` and `on_client`
    receive what other nodes send. `others` are the nodes that have sent a message within `NODE_TIMEOUT`, with
    the time of the latest one, the earliest first.
    """

    _clock: IReactorTime
    _bus: IBus
    node_id: str
    _on_question: OnQuestion
    _on_answer: OnAnswer
    _on_client: OnClient
    others: OrderedDict[str, float] = field(init=False, factory=OrderedDict)
    _consumer: IConsumer | None = field(init=False, default=None)
    _announcing: LoopingCall = field(init=False)
    #: Questions for which replies may still come.
    _requests: set[Deferred[Any]] = field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        self._announcing = LoopingCall(self._announce)
        self._announcing.clock = self._clock

    def start(self) -> None:
        """Consume questions and answers of other nodes, and announce this node to them."""
        patterns = ("pivot.ask.*.*", f"pivot.answer.{self.node_id}", "pivot.node.*")
        topics = frozenset(Topic(_EXCHANGE, pattern) for pattern in patterns)
        self._consumer = self._bus.consume(Queue(topics=topics, acknowledge=False), self._handle)
        greeting = self._consumer.when_running()
        greeting.addCallback(lambda _: self._publish("pivot.node.hello", "hello", {}))
        greeting.addErrback(_log_unless_away)
        self._announcing.start(ANNOUNCE_INTERVAL, now=False).addErrback(_log_unless_away)

    async def stop(self) -> None:
        """Consume no more, cancel the requests under way, and take leave of the other nodes."""
        if self._announcing.running:
            self._announcing.stop()
        for request in tuple(self._requests):
            request.cancel()
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await consumer.cancel()
            self._publish("pivot.node.bye", "bye", {}).addErrback(_log_unless_away)

    async def ask(
        self,
        account_id: str,
        name: str,
        event: Mapping[str, Any] | None,
        only: ClientAddress | None = None,
    ) -> set[ClientAddress]:
        """Send a question to the clients of all other nodes, or to one of them; return those that get it.

        Without an `event`, return those that would get it. Returns when all known nodes have replied, after
        `ASK_TIMEOUT` at the latest, and at once while no other node is known. Returns an empty set while the
        bus is unavailable. Cancelling ends the waiting; the question stays sent.
        """
        self._forget_silent_nodes()
        expected = {only.node} if only is not None else set(self.others)
        body = {
            "Event-Category": _CATEGORY,
            "Event-Name": "ask_req",
            "Node-ID": self.node_id,
            "Account-ID": account_id,
            "Pivot-Name": name,
            "Event": event,
            "Only": None if only is None else [only.node, only.client],
        }
        key = f"pivot.ask.{account_id}.{encode_key_part(name)}"
        replies = Deferred[Sequence[Event] | None]()

        def on_replies(so_far: Sequence[Event]) -> bool:
            self._note_node(so_far[-1].body.get("Node-ID"))
            return bool(expected) and expected <= _nodes(so_far)

        request = self._bus.request(_EXCHANGE, key, body, timeout=ASK_TIMEOUT, done_when=on_replies)
        self._requests.add(request)
        request.addErrback(_log_unless_away)
        request.addBoth(self._on_request_ended, request, replies)
        if not expected:
            return set()
        return {
            ClientAddress(reply.body["Node-ID"], client)
            for reply in await replies or ()
            if isinstance(reply.body.get("Node-ID"), str)
            for client in _texts(reply.body.get("Clients"))
        }

    def _on_request_ended(
        self, result: Any, request: Deferred[Any], replies: Deferred[Sequence[Event] | None]
    ) -> None:
        self._requests.discard(request)
        replies.callback(result)

    async def send_answer(self, node_id: str, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Pass a client's answer on to the node whose question it is; return the result.

        None: the node has not replied. Raises `BusUnavailable`, and `Unroutable` if there is no such node.
        """
        request = {"Event-Category": _CATEGORY, "Event-Name": "answer_req", "Node-ID": self.node_id, **body}
        replies = await self._bus.request(
            _EXCHANGE,
            f"pivot.answer.{node_id}",
            request,
            timeout=RESULT_TIMEOUT,
            done_when=bool,
            mandatory=True,
        )
        return replies[0].body if replies else None

    def publish_event(self, account_id: str, name: str, event: Mapping[str, Any]) -> None:
        """Publish an event for all clients, on all nodes, that have subscribed to the pivot point."""
        key = f"pivot.event.{account_id}.{encode_key_part(name)}"
        self._bus.publish(_EXCHANGE, key, event).addErrback(_log_unless_away)

    def publish_client(self, account_id: str, call_id: str, client: ClientAddress) -> None:
        """Let the other nodes know which client has answered a call."""
        body = {"Account-ID": account_id, "Call-ID": call_id, "Client": [client.node, client.client]}
        self._publish("pivot.node.client", "client", body).addErrback(_log_unless_away)

    def _announce(self) -> None:
        self._forget_silent_nodes()
        self._publish("pivot.node.here", "here", {}).addErrback(_log_unless_away)

    def _note_node(self, node_id: object) -> None:
        """Note that another node has sent a message."""
        if isinstance(node_id, str) and node_id and node_id != self.node_id:
            self.others[node_id] = self._clock.seconds()
            self.others.move_to_end(node_id)
            if len(self.others) > MAX_NODES:
                self.others.popitem(last=False)

    def _forget_silent_nodes(self) -> None:
        silent_since = self._clock.seconds() - NODE_TIMEOUT
        while self.others and next(iter(self.others.values())) <= silent_since:
            self.others.popitem(last=False)

    def _handle(self, event: Event) -> Deferred[None] | None:
        sender = event.body.get("Node-ID")
        if not isinstance(sender, str) or not sender:
            raise InvalidMessage("Node-ID is missing, or no text")
        if sender == self.node_id:
            return None
        if event.name == "bye":
            self.others.pop(sender, None)
            return None
        self._note_node(sender)
        if event.name == "hello":
            return self._publish("pivot.node.here", "here", {}).addErrback(_log_unless_away)
        if event.name == "client":
            _pass_client_on(event.body, self._on_client)
        elif event.name == "ask_req" and event.server_id is not None:
            return self._reply(event, "ask_resp", {"Clients": self._asked(event.body)})
        elif event.name == "answer_req" and event.server_id is not None:
            return self._reply(event, "answer_resp", self._on_answer(event.body))
        return None

    def _asked(self, body: Mapping[str, Any]) -> Sequence[str]:
        account_id, name, asked = body.get("Account-ID"), body.get("Pivot-Name"), body.get("Event")
        if not isinstance(account_id, str) or not is_account_id(account_id) or not isinstance(name, str):
            raise InvalidMessage("Account-ID or Pivot-Name is missing")
        only = _texts(body.get("Only"))
        if only and only[0] != self.node_id:
            return []
        return self._on_question(
            account_id, name, asked if isinstance(asked, dict) else None, only[1:] or None
        )

    def _reply(self, request: Event, name: str, body: Mapping[str, Any]) -> Deferred[None]:
        reply = {
            **build_envelope(_CATEGORY, name),
            "Msg-ID": request.message_id,
            "Node-ID": self.node_id,
            **body,
        }
        return self._bus.reply(request, reply).addErrback(_log_unless_away)

    def _publish(self, key: str, name: str, body: Mapping[str, Any]) -> Deferred[None]:
        return self._bus.publish(
            _EXCHANGE, key, {**build_envelope(_CATEGORY, name), "Node-ID": self.node_id, **body}
        )


def _nodes(replies: Sequence[Event]) -> set[str]:
    return {str(reply.body.get("Node-ID")) for reply in replies}


def _pass_client_on(body: Mapping[str, Any], on_client: OnClient) -> None:
    account_id, call_id, client = body.get("Account-ID"), body.get("Call-ID"), _texts(body.get("Client"))
    if not isinstance(account_id, str) or not isinstance(call_id, str) or len(client) != 2:
        raise InvalidMessage("Account-ID, Call-ID or Client is missing")
    on_client(account_id, call_id, ClientAddress(*client))


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _log_unless_away(failure: Failure) -> None:
    if not failure.check(BusUnavailable, CancelledError):
        _log.failure("a message about pivot points was not sent", failure)
