"""The front door to pivot points: `IPivots`."""

from __future__ import annotations

import hmac
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from secrets import token_hex, token_urlsafe
from typing import Any

import orjson
from attrs import define, field
from prometheus_client import CollectorRegistry, Histogram
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from kazoo_bridge.config import Config
from kazoo_bridge.interfaces import (
    AnswerRefused,
    BusUnavailable,
    IBus,
    InvalidDocument,
    IPivotClients,
    IPivots,
    IPivotStore,
    KazooRequest,
    PivotAnswer,
    PivotNameInUse,
    PivotRecord,
    PivotRefused,
    PivotReply,
    StoredPivot,
    TooManyPivots,
    UnknownPivotRequest,
    Unroutable,
)
from kazoo_bridge.kazoo import build_envelope
from kazoo_bridge.metrics import NAMESPACE, register_gauge, register_labelled_counter
from kazoo_bridge.pivot.asker import PivotAsker
from kazoo_bridge.pivot.call_parameters import CallParameters
from kazoo_bridge.pivot.cluster import PivotCluster
from kazoo_bridge.pivot.point import PIVOT_SCHEMA, PivotPoint, validate_document
from kazoo_bridge.pivot.points import PivotPoints
from kazoo_bridge.pivot.question import (
    ANSWERED,
    BUSY,
    DISABLED,
    GONE,
    NO_CLIENT,
    OUTCOMES,
    STOPPED,
    ClientAddress,
    PivotOutcome,
    Question,
)
from kazoo_bridge.pivot.recorder import PivotRecorder, recordable_flow
from kazoo_bridge.schema_errors import field_error

#: An empty answer, which ends Pivot.
_END = PivotReply(b"", "application/json")

#: The id of a question, as `PivotAsker` makes it; the first group names the node.
_PIVOT_ID = re.compile(r"([0-9a-z]{1,32})-[0-9a-f]{1,32}")

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10)


@implementer(IPivots)
@define(eq=False)
class PivotService:
    """See `IPivots`.

    `max_requests` bounds the requests of one account that wait at the same time. `requests` counts those that
    have ended, by outcome.
    """

    _clock: IReactorTime
    _bus: IBus
    _store: IPivotStore
    _max_requests: int
    _own_modules: tuple[str, ...] = ()
    #: Names this process in routing keys.
    _node_id: str = field(factory=lambda: token_hex(8))
    points_in_memory: PivotPoints = field(init=False)
    requests: Counter[str] = field(init=False, factory=lambda: Counter(dict.fromkeys(OUTCOMES, 0)))
    _recorder: PivotRecorder = field(init=False)
    _cluster: PivotCluster = field(init=False)
    _asker: PivotAsker = field(init=False)
    #: Requests that wait, by account.
    _waiting: Counter[str] = field(init=False, factory=Counter)
    _durations: Histogram | None = field(init=False, default=None)
    _stopping: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.points_in_memory = PivotPoints(self._store)
        self._recorder = PivotRecorder(self._clock, self._store)
        self._cluster = PivotCluster(
            self._clock, self._bus, self._node_id, self._on_question, self._on_answer, self._on_client
        )
        self._asker = PivotAsker(self._clock, self._cluster, self._own_modules)

    @classmethod
    def from_config(cls, reactor: Any, config: Config, bus: IBus, store: IPivotStore) -> PivotService:
        """Build the parts; nothing runs yet."""
        settings = config.pivot
        return cls(reactor, bus, store, settings.max_requests_per_account, settings.own_modules)

    def start(self, clients: IPivotClients) -> None:
        """Ask `clients`, which are those of this node, from now on; reach, and be reached by, other nodes."""
        self._asker.clients = clients
        self._recorder.startService()
        self._cluster.start()

    async def stop(self) -> None:
        """Answer what waits, and what comes later, with the fallback; write what is recorded."""
        self._stopping = True
        self._asker.stop()
        await self._cluster.stop()
        await self._recorder.stopService()

    def register_metrics(self, registry: CollectorRegistry) -> None:
        """Export the metrics of pivot points in `registry`."""
        register_labelled_counter(
            registry, "pivot_requests", "Pivot requests of KAZOO by result", "result", lambda: self.requests
        )
        register_gauge(
            registry,
            "pivot_requests_waiting",
            "Pivot requests that wait for a client's answer",
            lambda: len(self._asker.questions),
        )
        self._durations = Histogram(
            "pivot_answer_seconds",
            "Seconds from a Pivot request to a client's answer",
            namespace=NAMESPACE,
            registry=registry,
            buckets=_BUCKETS,
        )

    # -- documents

    @property
    def pivot_schema(self) -> Mapping[str, Any]:
        """See `IPivots`."""
        return PIVOT_SCHEMA

    async def points(self, account_id: str) -> Sequence[StoredPivot]:
        """See `IPivots`."""
        return await self._store.for_account(account_id)

    async def point(self, account_id: str, pivot_point_id: str) -> StoredPivot | None:
        """See `IPivots`."""
        stored = await self._store.by_id(pivot_point_id)
        return stored if stored is not None and stored.account_id == account_id else None

    async def create(self, account_id: str, data: Mapping[str, Any]) -> StoredPivot:
        """See `IPivots`."""
        document = validate_document(data, self._own_modules)
        try:
            stored = await self._store.create(account_id, document, token_urlsafe(32))
        except (PivotNameInUse, TooManyPivots) as error:
            raise _to_invalid_document(error) from None
        self.points_in_memory.forget([stored.id])
        return stored

    async def replace(self, pivot: StoredPivot, data: Mapping[str, Any]) -> StoredPivot:
        """See `IPivots`."""
        return await self._write(pivot, validate_document(data, self._own_modules))

    async def patch(self, pivot: StoredPivot, data: Mapping[str, Any]) -> StoredPivot:
        """See `IPivots`."""
        return await self.replace(pivot, {**pivot.document, **data})

    async def renew_secret(self, pivot: StoredPivot) -> StoredPivot:
        """See `IPivots`."""
        return await self._write(pivot, pivot.document, token_urlsafe(32))

    async def delete(self, pivot: StoredPivot) -> None:
        """See `IPivots`."""
        await self._store.delete(pivot)
        self.points_in_memory.forget([pivot.id])

    async def records(self, pivot: StoredPivot) -> Sequence[PivotRecord]:
        """See `IPivots`."""
        await self._recorder.flush()
        return await self._store.records(pivot.account_id, pivot.id)

    async def _write(
        self, pivot: StoredPivot, document: Mapping[str, Any], secret: str | None = None
    ) -> StoredPivot:
        try:
            stored = await self._store.replace(pivot, document, secret)
        except PivotNameInUse as error:
            raise _to_invalid_document(error) from None
        self.points_in_memory.forget([stored.id])
        return stored

    # -- KAZOO's side

    async def ask(self, pivot_point_id: str, secret: str, request: KazooRequest) -> PivotReply:
        """See `IPivots`."""
        point, call = await self._require_point(pivot_point_id, secret, request)
        began = self._clock.seconds()
        question, outcome = await self._ask(point, call)
        seconds = self._clock.seconds() - began
        self.requests[outcome.kind] += 1
        if outcome.kind == ANSWERED and self._durations is not None:
            self._durations.observe(seconds)
        if question is not None:
            self._recorder.record(question, outcome, seconds)
            self._announce(question, outcome)
        if outcome.kind == GONE:
            raise CancelledError
        return _to_reply(point, outcome)

    async def call_ended(self, pivot_point_id: str, secret: str, request: KazooRequest) -> None:
        """See `IPivots`."""
        point, call = await self._require_point(pivot_point_id, secret, request)
        if call.call_id is not None:
            self._asker.forget_call(point.account_id, call.call_id)
        event = {
            **call.values,
            **build_envelope("pivot", "pivot_ended"),
            "Account-ID": point.account_id,
            "Pivot-Name": point.name,
        }
        self._cluster.publish_event(point.account_id, point.name, event)

    async def _require_point(
        self, pivot_point_id: str, secret: str, request: KazooRequest
    ) -> tuple[PivotPoint, CallParameters]:
        """Return the pivot point that a URL names, and what KAZOO says. Raises `PivotRefused`."""
        point = await self.points_in_memory.get(pivot_point_id)
        expected = token_urlsafe(32) if point is None else point.secret
        is_known = hmac.compare_digest(expected.encode(), secret.encode("utf-8", "replace"))
        if point is None or not is_known:
            raise PivotRefused(404, "there is no such pivot point, or its URL was renewed")
        if not point.accepts(request.address):
            raise PivotRefused(403, "the pivot point accepts no requests from this address")
        call = CallParameters.parse(request)
        if call.values.get("Account-ID", point.account_id) != point.account_id:
            raise PivotRefused(403, "the request is of another account than the pivot point")
        return point, call

    async def _ask(self, point: PivotPoint, call: CallParameters) -> tuple[Question | None, PivotOutcome]:
        if self._stopping:
            return None, PivotOutcome(STOPPED)
        if not point.enabled:
            return None, PivotOutcome(DISABLED)
        if self._waiting[point.account_id] >= self._max_requests:
            return None, PivotOutcome(BUSY)
        self._waiting[point.account_id] += 1
        try:
            return await self._asker.ask(point, call)
        finally:
            self._waiting[point.account_id] -= 1
            if not self._waiting[point.account_id]:
                del self._waiting[point.account_id]

    def _announce(self, question: Question, outcome: PivotOutcome) -> None:
        """Inform the clients that a question needs no answer any more, and who has answered it.

        Clients of other nodes may have received the question before their nodes reported them in `asked`.
        """
        if outcome.kind == NO_CLIENT and not question.asked:
            return
        point, answer = question.point, outcome.answer
        event = {
            **build_envelope("pivot", "pivot_answered"),
            "Account-ID": point.account_id,
            "Call-ID": question.call.call_id,
            "Pivot-ID": question.id,
            "Pivot-Name": point.name,
            "Result": outcome.kind,
            "Answered-By": None if answer is None else answer.answered_by,
            "Flow": None if answer is None else recordable_flow(answer),
        }
        self._cluster.publish_event(point.account_id, point.name, event)
        if outcome.answered_from is not None and question.call.call_id is not None:
            self._cluster.publish_client(point.account_id, question.call.call_id, outcome.answered_from)

    # -- answers of clients

    async def answer(
        self, account_id: str, pivot_id: str, answer: PivotAnswer, pivot_point_id: str | None = None
    ) -> None:
        """See `IPivots`."""
        here = self._cluster.node_id
        matched = _PIVOT_ID.fullmatch(pivot_id)
        if matched is None:
            raise UnknownPivotRequest(pivot_id)
        node_id = matched[1]
        if node_id == here:
            source = ClientAddress(here, answer.client)
            self._asker.answer(account_id, pivot_id, answer, source, pivot_point_id)
            return
        body = {
            "Account-ID": account_id,
            "Pivot-ID": pivot_id,
            "Pivot-Point-ID": pivot_point_id,
            "Flow": answer.flow,
            "TwiML": answer.twiml,
            "Answered-By": dict(answer.answered_by),
            "Client": answer.client,
        }
        try:
            result = await self._cluster.send_answer(node_id, body)
        except Unroutable:  # the node has ended, and its questions with it
            raise UnknownPivotRequest(pivot_id) from None
        if result is None:
            raise BusUnavailable("the node that KAZOO has asked does not reply")
        if result.get("Errors"):
            raise AnswerRefused(result["Errors"])
        if result.get("Result") != ANSWERED:
            raise UnknownPivotRequest(pivot_id)

    def _on_question(
        self, account_id: str, name: str, event: Mapping[str, Any] | None, only: Sequence[str] | None
    ) -> Sequence[str]:
        return self._asker.ask_for_other_node(account_id, name, event, only)

    def _on_client(self, account_id: str, call_id: str, client: ClientAddress) -> None:
        self._asker.remember_client(account_id, call_id, client)

    def _on_answer(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take an answer that another node has passed on."""
        answered_by = body.get("Answered-By")
        answer = PivotAnswer(
            body.get("Flow"),
            body.get("TwiML"),
            answered_by if isinstance(answered_by, dict) else {},
            str(body.get("Client") or ""),
        )
        source = ClientAddress(str(body.get("Node-ID")), answer.client)
        account_id, pivot_id, point_id = (
            str(body.get(key) or "") for key in ("Account-ID", "Pivot-ID", "Pivot-Point-ID")
        )
        try:
            self._asker.answer(account_id, pivot_id, answer, source, point_id or None)
        except AnswerRefused as error:
            return {"Errors": error.errors}
        except UnknownPivotRequest:
            return {"Result": "unknown"}
        return {"Result": ANSWERED}


def _to_reply(point: PivotPoint, outcome: PivotOutcome) -> PivotReply:
    answer = outcome.answer
    if answer is not None and answer.twiml is not None:
        return PivotReply(answer.twiml.encode(), "text/xml")
    flow = point.fallback if answer is None else answer.flow
    return _END if not flow else PivotReply(orjson.dumps(flow))


def _to_invalid_document(error: PivotNameInUse | TooManyPivots) -> InvalidDocument:
    if isinstance(error, TooManyPivots):
        message = f"this account has the {error.limit} pivot points that an account may have"
        return InvalidDocument(field_error("pivots", "maxItems", message, target=error.limit))
    message = "another pivot point of the account has this name"
    return InvalidDocument(field_error("name", "unique", message, cause=str(error)))
