"""In-memory stores, a bus that records what is published, and an HTTP agent under the test's control."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import inf
from typing import Any, TypeVar

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IResponse
from zope.interface import implementer

from kazoo_bridge.interfaces import (
    UNTIL_ENABLED,
    Account,
    AccountLimits,
    Attempt,
    BusUnavailable,
    Delivery,
    DeliveryResults,
    EventHandler,
    HookAuthor,
    HookHealth,
    HookType,
    IAttemptStore,
    IBus,
    IConsumer,
    IDeliveryStore,
    IDirectory,
    IEventCategory,
    IHookStore,
    ILimitStore,
    IMissedEventStore,
    Occurrence,
    Principal,
    Queue,
    RevisionConflict,
    Secret,
    StorageUnavailable,
    StoredAttempt,
    StoredDelivery,
    StoredHook,
    Suspension,
    TooManyHooks,
    Topic,
    UserLogin,
)
from kazoo_bridge.kazoo import Event

T = TypeVar("T")


@define
class _FakeStore:
    """Fails with `StorageUnavailable` while `down` is set. With `manual` set, results wait for `answer`."""

    down: bool = False
    #: What every call fails with.
    error: Exception | None = None
    manual: bool = False
    #: What waits for `answer`, and the result that it will have.
    waiting: list[tuple[Deferred[Any], Any]] = field(factory=list)

    def _result(self, value: T) -> Deferred[T]:
        if self.down:
            return fail(StorageUnavailable("the disk is full"))
        if self.error is not None:
            return fail(self.error)
        if self.manual:
            self.waiting.append((Deferred(), value))
            return self.waiting[-1][0]
        return succeed(value)

    def answer(self) -> None:
        """Fire what waits, and answer at once from now on."""
        self.manual, waiting, self.waiting = False, self.waiting, []
        for result, value in waiting:
            result.callback(value)


@implementer(IAttemptStore)
@define
class FakeAttemptStore(_FakeStore):
    """`batches` has the size of each write; `over_limit` is what `hooks_over_failure_limit` returns."""

    stored: list[Attempt] = field(factory=list)
    health_by_hook: dict[str, HookHealth] = field(factory=dict)
    batches: list[int] = field(factory=list)
    over_limit: list[tuple[str, str, str]] = field(factory=list)
    #: The arguments of each call of `hooks_over_failure_limit`: now, count, window.
    limit_checks: list[tuple[float, int, float]] = field(factory=list)

    def add(self, made: Sequence[Attempt], health: Mapping[str, HookHealth]) -> Deferred[None]:
        if not self.down:
            self.batches.append(len(made))
            self.stored += made
            for hook_id, counted in health.items():
                known = self.health_by_hook.get(hook_id, HookHealth())
                self.health_by_hook[hook_id] = known.merge(counted)
        return self._result(None)

    def page(
        self, account_id: str, hook_id: str | None, before: int | None, count: int
    ) -> Deferred[list[StoredAttempt]]:
        found = [
            StoredAttempt(position, one.made_at, one.document)
            for position, one in enumerate(self.stored)
            if one.account_id == account_id
            and hook_id in (None, one.hook_id)
            and (before is None or position < before)
        ]
        return self._result(found[::-1][:count])

    def get(self, account_id: str, hook_id: str | None, position: int) -> Deferred[StoredAttempt | None]:
        one = self.stored[position] if position < len(self.stored) else None
        if one is None or one.account_id != account_id or hook_id not in (None, one.hook_id):
            return self._result(None)
        found = StoredAttempt(
            position, one.made_at, one.document, replay=one.replay, event_account_id=one.event_account_id
        )
        return self._result(found)

    def health(self, hook_ids: Collection[str]) -> Deferred[Mapping[str, HookHealth]]:
        found = {name: self.health_by_hook[name] for name in hook_ids if name in self.health_by_hook}
        return self._result(found)

    def failures(self, revisions: Mapping[str, str], since: float) -> Deferred[Mapping[str, int]]:
        failed = (one for one in self.stored if one.failed and one.made_at > since)
        counts = Counter(one.hook_id for one in failed if revisions.get(one.hook_id) == one.revision)
        return self._result(counts)

    def hooks_over_failure_limit(
        self, now: float, count: int, window: float
    ) -> Deferred[list[tuple[str, str, str]]]:
        self.limit_checks.append((now, count, window))
        return self._result(self.over_limit)


@define
class StoredRow:
    """A delivery as `FakeDeliveryStore` keeps it."""

    position: int
    delivery: Delivery
    status: str
    next_attempt: float
    reason: str
    lease_until: float = 0.0


@implementer(IDeliveryStore)
@define
class FakeDeliveryStore(_FakeStore):
    """`writes` counts the calls of `enqueue` and `record_results` that succeed."""

    rows: dict[str, StoredRow] = field(factory=dict)
    writes: int = 0
    #: The counts of each call of `claim`, and the ids of the hooks that were resumed.
    claims: list[Mapping[str, int]] = field(factory=list)
    resumed: list[str] = field(factory=list)
    #: Hooks that are of another ``webhooks.source``.
    elsewhere: set[str] = field(factory=set)

    @property
    def statuses(self) -> list[str]:
        return [row.status for row in self.rows.values()]

    @property
    def event_ids(self) -> list[str]:
        return [row.delivery.event_id for row in self.rows.values()]

    def enqueue(self, waiting: Sequence[tuple[Delivery, float | None, str]]) -> Deferred[None]:
        if not self.down:
            self.writes += 1
            for delivery, next_attempt, reason in waiting:
                status = "dead" if next_attempt is None else "pending"
                if next_attempt == UNTIL_ENABLED:
                    status, next_attempt = "held", 0.0
                row = StoredRow(len(self.rows), delivery, status, next_attempt or 0.0, reason)
                self.rows.setdefault(delivery.id, row)
        return self._result(None)

    def _due(self, row: StoredRow, now: float) -> bool:
        return row.status == "pending" and row.next_attempt <= now and row.lease_until <= now

    def due_hooks(self, now: float) -> Deferred[list[str]]:
        return self._result(
            sorted({row.delivery.hook_id for row in self.rows.values() if self._due(row, now)})
        )

    def claim(
        self, owner: str, now: float, until: float, room: Mapping[str, int]
    ) -> Deferred[list[Delivery]]:
        self.claims.append(room)
        claimed: list[Delivery] = []
        seen: set[tuple[str, str]] = set()
        for row in [] if self.down else self.rows.values():
            hook_id, ordering = row.delivery.hook_id, row.delivery.ordering_key
            blocked = bool(ordering) and (hook_id, ordering) in seen
            if row.status != "dead":
                seen.add((hook_id, ordering))
            taken = sum(one.hook_id == hook_id for one in claimed)
            if self._due(row, now) and not blocked and taken < room.get(hook_id, 0):
                row.lease_until = until
                claimed.append(row.delivery)
        return self._result(claimed)

    def record_results(self, settlement: DeliveryResults, now: float) -> Deferred[None]:
        if not self.down:
            self.writes += 1
            for name in settlement.delivered:
                del self.rows[name]
            for name, attempts, next_attempt, reason in settlement.retry:
                self._update(name, "pending", attempts, reason)
                self.rows[name].next_attempt = next_attempt
            for name, attempts, reason in settlement.dead:
                self._update(name, "dead", attempts, reason)
            for name in settlement.released:
                self.rows[name].lease_until = 0.0
        return self._result(None)

    def _update(self, name: str, status: str, attempts: int, reason: str) -> None:
        row = self.rows[name]
        row.delivery = evolve(row.delivery, attempts=attempts)
        row.status, row.reason, row.lease_until = status, reason, 0.0

    def _move(self, hook_id: str, source: Collection[str], status: str) -> Deferred[int]:
        moved = [
            row
            for row in ([] if self.down else self.rows.values())
            if row.delivery.hook_id == hook_id and row.status in source
        ]
        for row in moved:
            row.status = status
        return self._result(len(moved))

    def pause(self, hook_id: str) -> Deferred[int]:
        return self._move(hook_id, ["pending"], "held")

    def resume(self, hook_id: str, now: float) -> Deferred[int]:
        self.resumed.append(hook_id)
        return self._move(hook_id, ["held"], "pending")

    def give_up(self, hook_id: str, now: float, reason: str) -> Deferred[int]:
        return self._move(hook_id, ["pending", "held"], "dead")

    def claim_held(
        self, hook_id: str, owner: str, now: float, until: float, skip: int
    ) -> Deferred[Delivery | None]:
        held = self._held(hook_id, now)[: skip + 1]
        if held and not self.down:
            held[-1].lease_until = until
        return self._result(held[-1].delivery if held else None)

    def _held(self, hook_id: str, now: float) -> list[StoredRow]:
        return [
            row
            for row in self.rows.values()
            if row.delivery.hook_id == hook_id and row.status == "held" and row.lease_until <= now
        ]

    def drop_held(self, hook_id: str, made_before: float, now: float) -> Deferred[int]:
        old = [row.delivery for row in self._held(hook_id, now) if row.delivery.created < made_before]
        if not self.down:
            for delivery in old:
                del self.rows[delivery.id]
        return self._result(len(old))

    def paused_hooks(self) -> Deferred[list[str]]:
        return self._result(
            sorted({row.delivery.hook_id for row in self.rows.values() if row.status == "held"})
        )

    def delete(self, hook_id: str) -> Deferred[int]:
        if hook_id in self.elsewhere:
            self._move(hook_id, ["pending"], "held")
            return self._result(sum(row.delivery.hook_id == hook_id for row in self.rows.values()))
        if not self.down:
            self.rows = {name: row for name, row in self.rows.items() if row.delivery.hook_id != hook_id}
        return self._result(0)

    def waiting_counts(self, hook_ids: Collection[str]) -> Deferred[Mapping[str, int]]:
        return self._count(hook_ids, ("pending", "held"))

    def dead_counts(self, hook_ids: Collection[str]) -> Deferred[Mapping[str, int]]:
        return self._count(hook_ids, ("dead",))

    def _count(self, hook_ids: Collection[str], statuses: Collection[str]) -> Deferred[Mapping[str, int]]:
        found = (row.delivery.hook_id for row in self.rows.values() if row.status in statuses)
        return self._result(Counter(hook_id for hook_id in found if hook_id in hook_ids))

    def counts(self) -> Deferred[Mapping[str, int]]:
        return self._result({"pending": 0, "held": 0, "dead": 0} | Counter(self.statuses))

    def oldest_waiting(self) -> Deferred[Mapping[str, float]]:
        oldest: dict[str, float] = {}
        for row in self.rows.values():
            if row.status != "dead":
                oldest[row.status] = min(row.delivery.created, oldest.get(row.status, inf))
        return self._result(oldest)

    def page(
        self, account_id: str, hook_id: str | None, status: str, before: int | None, count: int
    ) -> Deferred[list[StoredDelivery]]:
        statuses = ("pending", "held") if status == "pending" else (status,)
        found = [
            StoredDelivery(row.position, row.delivery, row.status, row.next_attempt, 0.0, row.reason)
            for row in self.rows.values()
            if row.delivery.account_id == account_id
            and hook_id in (None, row.delivery.hook_id)
            and row.status in statuses
            and (before is None or row.position < before)
        ]
        return self._result(found[::-1][:count])

    def _make_due(self, wanted: Callable[[StoredRow], bool], now: float) -> int:
        found = [] if self.down else [row for row in self.rows.values() if wanted(row)]
        for row in found:
            row.status, row.next_attempt = "pending", now
            row.delivery = evolve(row.delivery, attempts=0, replayed_at=now)
        return len(found)

    def retry(self, account_id: str, hook_id: str, delivery_id: str, now: float) -> Deferred[bool]:
        place = (account_id, hook_id, delivery_id)
        count = self._make_due(
            lambda row: (row.delivery.account_id, row.delivery.hook_id, row.delivery.id) == place, now
        )
        return self._result(count > 0)

    def replay(
        self,
        account_id: str,
        hook_id: str | None,
        since: float,
        now: float,
        except_hooks: Collection[str] = (),
    ) -> Deferred[int]:
        def wanted(row: StoredRow) -> bool:
            return (
                row.status == "dead"
                and row.delivery.account_id == account_id
                and hook_id in (None, row.delivery.hook_id)
                and row.delivery.hook_id not in except_hooks
            )

        return self._result(self._make_due(wanted, now))


@implementer(IMissedEventStore)
@define
class FakeMissedEventStore(_FakeStore):
    """Counts by hook and reason."""

    missed: Counter[tuple[str, str]] = field(factory=Counter)

    def add(self, missed: Mapping[tuple[str, str], int]) -> Deferred[None]:
        if not self.down:
            self.missed.update(missed)
        return self._result(None)

    def counts(self, hook_ids: Collection[str]) -> Deferred[Mapping[str, Mapping[str, int]]]:
        found: dict[str, dict[str, int]] = {}
        for (hook_id, reason), number in self.missed.items():
            if hook_id in hook_ids:
                found.setdefault(hook_id, {})[reason] = number
        return self._result(found)


@implementer(ILimitStore)
@define
class FakeLimitStore(_FakeStore):
    """The accounts' own limits."""

    limits: dict[str, AccountLimits] = field(factory=dict)

    def get(self, account_id: str) -> Deferred[AccountLimits]:
        return self._result(self.limits.get(account_id, AccountLimits()))

    def put(self, account_id: str, limits: AccountLimits) -> Deferred[None]:
        self.limits[account_id] = limits
        return self._result(None)

    def shortest_expiry_ms(self) -> Deferred[int | None]:
        own = (limits.attempt_failure_expiry_ms for limits in self.limits.values())
        return self._result(min((window for window in own if window is not None), default=None))


@implementer(IHookStore)
@define
class FakeHookStore(_FakeStore):
    """Stores at most `max_hooks`; `add` stores a document directly."""

    max_hooks: int = 100
    hooks: dict[str, StoredHook] = field(factory=dict)
    _created: int = field(init=False, default=0)

    def add(self, account_id: str, document: Mapping[str, Any], *secrets: Secret) -> StoredHook:
        self._created += 1
        hook_id = f"{self._created:032x}"
        stored = StoredHook(hook_id, account_id, document, "1-x", self._created, self._created, secrets)
        self.hooks[hook_id] = stored
        return stored

    def batch(self, after: int, count: int) -> Deferred[tuple[list[StoredHook], int]]:
        hooks = list(self.hooks.values())[after : after + count]
        return self._result((hooks, after + len(hooks)))

    def by_ids(self, hook_ids: Collection[str]) -> Deferred[list[StoredHook]]:
        return self._result([hook for hook in self.hooks.values() if hook.id in hook_ids])

    def for_account(self, account_id: str) -> Deferred[list[StoredHook]]:
        return self.for_accounts([account_id])

    def for_accounts(self, account_ids: Collection[str]) -> Deferred[list[StoredHook]]:
        return self._result([hook for hook in self.hooks.values() if hook.account_id in account_ids])

    def get(self, account_id: str, hook_id: str) -> Deferred[StoredHook | None]:
        hook = self.hooks.get(hook_id)
        return self._result(hook if hook is not None and hook.account_id == account_id else None)

    def create(
        self,
        account_id: str,
        document: Mapping[str, Any],
        secrets: tuple[Secret, ...] = (),
        headers: Mapping[str, str] | None = None,
        *,
        author: HookAuthor | None = None,
    ) -> Deferred[StoredHook]:
        if len(self.hooks) >= self.max_hooks:
            return fail(TooManyHooks(self.max_hooks))
        stored = evolve(self.add(account_id, document, *secrets), headers=dict(headers or {}))
        self.hooks[stored.id] = stored
        return self._result(stored)

    def replace(
        self,
        hook: StoredHook,
        document: Mapping[str, Any],
        secrets: tuple[Secret, ...] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        suspension: Suspension | None = None,
        author: HookAuthor | None = None,
    ) -> Deferred[StoredHook]:
        if self._changed(hook):
            return fail(RevisionConflict())
        revision = f"{int(hook.revision.split('-')[0]) + 1}-x"
        kept = hook.secrets if secrets is None else secrets
        values = hook.headers if headers is None else headers
        self.hooks[hook.id] = evolve(
            hook, document=document, revision=revision, secrets=kept, headers=values, suspension=suspension
        )
        return self._result(self.hooks[hook.id])

    def delete(
        self, hook: StoredHook, *, author: HookAuthor | None = None, soft: bool = True
    ) -> Deferred[None]:
        if self._changed(hook):
            return fail(RevisionConflict())
        del self.hooks[hook.id]
        return self._result(None)

    def delete_of_account(self, account_id: str) -> Deferred[int]:
        gone = [hook.id for hook in self.hooks.values() if hook.account_id == account_id]
        for hook_id in gone:
            del self.hooks[hook_id]
        return self._result(len(gone))

    def due_probes(self, now: float) -> Deferred[list[StoredHook]]:
        return self._result(
            [
                hook
                for hook in self.hooks.values()
                if hook.suspension is not None and hook.suspension.next_probe <= now
            ]
        )

    def claim_probe(self, hook: StoredHook, next_probe: float) -> Deferred[bool]:
        if self._changed(hook) or self.hooks[hook.id] != hook or hook.suspension is None:
            return self._result(False)
        advanced = evolve(hook.suspension, next_probe=next_probe, probes=hook.suspension.probes + 1)
        self.hooks[hook.id] = evolve(hook, suspension=advanced)
        return self._result(True)

    def return_probe(self, hook: StoredHook, next_probe: float) -> Deferred[None]:
        current = self.hooks.get(hook.id, hook).suspension
        if not self._changed(hook) and current is not None and hook.suspension is not None:
            returned = evolve(current, next_probe=next_probe, probes=hook.suspension.probes)
            self.hooks[hook.id] = evolve(self.hooks[hook.id], suspension=returned)
        return self._result(None)

    def _changed(self, hook: StoredHook) -> bool:
        return hook.id not in self.hooks or self.hooks[hook.id].revision != hook.revision


@implementer(IEventCategory)
@define
class FakeCategory:
    """Makes of each event what its body says."""

    name: str = "c"
    hooks: tuple[HookType, ...] = (HookType("channel_create", "n", "d"),)
    exchange: str = "callevt"

    def topics(self, hook: str) -> Iterable[Topic]:
        return [Topic(self.exchange, "x.*")]

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        if event.body.get("busy"):
            account = event.body["busy"]
            return [Occurrence("channel_create", account, {"number": number}) for number in (1, 2)]
        if event.body.get("accounts"):
            return [Occurrence("channel_create", one, {"of": one}) for one in event.body["accounts"]]
        if event.body.get("raise"):
            raise RuntimeError("cannot read this")
        return [
            Occurrence(
                "channel_create",
                event.body.get("account"),
                event.body.get("payload", {}),
                called_number=event.body.get("called"),
                inline_hook=event.body.get("inline"),
                internal_leg=bool(event.body.get("internal")),
                superadmin_only=bool(event.body.get("superadmin_only")),
                addition=bool(event.body.get("addition")),
                wants_reseller=bool(event.body.get("wants_reseller")),
            )
        ]


@implementer(IDirectory)
@define
class FakeDirectory:
    """`known` are accounts in memory with their ancestors, `fetchable` those that `account` reads first."""

    known: dict[str, tuple[str, ...]]
    fetchable: dict[str, tuple[str, ...]] = field(factory=dict)
    superadmins: set[str] = field(factory=set)
    owners: dict[str, str] = field(factory=dict)
    #: What `look_up_number` returns.
    asked_numbers: dict[str, Deferred[Any]] = field(factory=dict)
    down: bool = False

    def account_for_number(self, number: str) -> str | None:
        return self.owners.get(number.removeprefix("+"))

    def look_up_number(self, number: str) -> Deferred[Any] | None:
        return self.asked_numbers.get(number)

    def reseller_of(self, account_id: str) -> str | None:
        ancestors = self.ancestors(account_id)
        return ancestors[0] if ancestors else None

    def ancestors(self, account_id: str) -> tuple[str, ...] | None:
        return self.known.get(account_id)

    def is_superadmin(self, account_id: str) -> bool:
        return account_id in self.superadmins

    def account(self, account_id: str) -> Deferred[Account | None]:
        if self.down:
            return fail(StorageUnavailable("locked"))
        if account_id in self.fetchable:
            self.known[account_id] = self.fetchable[account_id]
        return succeed(
            Account(account_id, "", "", self.known[account_id]) if account_id in self.known else None
        )

    def authenticate(self, token: str) -> Deferred[Principal | None]:
        raise NotImplementedError

    def login(self, api_key: str) -> Deferred[tuple[str, Principal] | None]:
        raise NotImplementedError

    def log_in_user(self, credentials: Mapping[str, Any]) -> Deferred[UserLogin | None]:
        raise NotImplementedError

    def log_out(self, token: str) -> Deferred[bool]:
        raise NotImplementedError

    def descendants(self, account_id: str) -> Deferred[frozenset[str]]:
        return succeed(frozenset(known for known, ancestors in self.known.items() if account_id in ancestors))

    def can_act_for(self, principal: Principal, account_id: str) -> Deferred[bool]:
        raise NotImplementedError


@implementer(IBus)
@define
class FakeBus:
    """Records what is published; fails with `BusUnavailable` while `down` is set. It delivers nothing."""

    published: list[tuple[str, str, Mapping[str, Any]]] = field(factory=list)
    down: bool = False

    def publish(
        self, exchange: str, routing_key: str, body: Mapping[str, Any], *, mandatory: bool = False
    ) -> Deferred[None]:
        if self.down:
            return fail(BusUnavailable("no connection"))
        self.published.append((exchange, routing_key, body))
        return succeed(None)

    def consume(self, queue: Queue, handler: EventHandler) -> IConsumer:
        raise NotImplementedError

    def reply(self, request: Event, body: Mapping[str, Any]) -> Deferred[None]:
        raise NotImplementedError

    def request(
        self,
        exchange: str,
        routing_key: str,
        body: Mapping[str, Any],
        *,
        timeout: float,
        done_when: Callable[[Sequence[Event]], bool] | None = None,
        mandatory: bool = False,
    ) -> Deferred[list[Event]]:
        raise NotImplementedError

    def unavailable_reason(self) -> str | None:
        return "no connection" if self.down else None


@implementer(IResponse)
@define
class FakeResponse:
    """A complete response with an empty body."""

    code: int
    headers: Headers
    version: tuple[bytes, int, int] = (b"HTTP", 1, 1)
    phrase: bytes = b""
    length: Any = UNKNOWN_LENGTH
    request: Any = None
    previousResponse: Any = None
    _connection: StringTransport = field(factory=StringTransport)

    def deliverBody(self, protocol: Any) -> None:
        protocol.makeConnection(self._connection)
        protocol.connectionLost(Failure(ResponseDone()))

    def setPreviousResponse(self, response: Any) -> None:
        self.previousResponse = response


@implementer(IAgent)
@define
class FakeAgent:
    """Refuses connections, or lets requests hang until `respond`; records all requests."""

    clock: Clock
    reachable: bool = False
    times: list[float] = field(factory=list)
    hooks: list[str] = field(factory=list)
    headers: list[Headers] = field(factory=list)
    bodies: list[str] = field(factory=list)
    hanging: list[Deferred[IResponse]] = field(factory=list)

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: Any = None
    ) -> Deferred[IResponse]:
        assert headers is not None
        self.times.append(self.clock.seconds())
        self.hooks.append((headers.getRawHeaders("X-Hook-ID") or [""])[0])
        self.headers.append(headers)
        body = StringTransport()
        if bodyProducer is not None:
            bodyProducer.startProducing(body)
        self.bodies.append(body.value().decode())
        if not self.reachable:
            return fail(ConnectionRefusedError())
        self.hanging.append(Deferred())
        return self.hanging[-1]

    @property
    def unanswered(self) -> list[Deferred[IResponse]]:
        """The requests that have no response yet."""
        return [waiting for waiting in self.hanging if not waiting.called]


def respond(waiting: Deferred[Any], status: int, headers: Mapping[str, str] | None = None) -> None:
    """Answer a hanging request."""
    raw = Headers({name: [value] for name, value in (headers or {}).items()})
    waiting.callback(FakeResponse(status, raw))
