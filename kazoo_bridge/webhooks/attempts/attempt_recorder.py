"""Records attempts in KAZOO's form: collected in memory, written in batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.batch_writer import BATCH_SIZE, BatchWriter
from kazoo_bridge.config import Webhooks
from kazoo_bridge.interfaces import Attempt, HookHealth, IAttemptStore, StorageUnavailable, StoredAttempt
from kazoo_bridge.webhooks.attempts.attempt_document import AttemptFormat, AttemptInfo
from kazoo_bridge.webhooks.attempts.kept_delivery import encode_delivery
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Outcome

_log = Logger()

#: Attempts that wait for the storage; of more, the oldest are lost: deliveries matter more than their record.
_MAX_WAITING = 10_000

_UNTRIED = HookHealth()


@define(eq=False)
class AttemptRecorder(BatchWriter):
    """Records failures, and successes if `records_successes`; counts both for the health of hooks.

    Deliveries of at most `payload_limit` bytes of JSON are kept for replays. Of successes that are only
    counted, the newest `traced` are remembered.
    """

    _store: IAttemptStore
    records_successes: bool
    _format: AttemptFormat
    _payload_limit: int = 0
    _traced: int = 0
    _waiting: list[Attempt] = field(init=False, factory=list)
    _health: dict[str, HookHealth] = field(init=False, factory=dict)
    #: Successes that are in no record: when the latest was, and how many, by hook.
    _successes: dict[str, tuple[float, int]] = field(init=False, factory=dict)
    #: The newest deliveries whose success is in no record: (Unix seconds, delivery id).
    _delivered: deque[tuple[float, str]] = field(init=False)
    _lost: int = field(init=False, default=0)

    @_delivered.default
    def _make_delivered(self) -> deque[tuple[float, str]]:
        return deque(maxlen=self._traced)

    content = "attempts"
    collect_interval = 0.2

    @classmethod
    def from_config(
        cls, clock: IReactorTime, config: Webhooks, store: IAttemptStore, traced: int = 0
    ) -> AttemptRecorder:
        """Build the recorder of the section ``[webhooks]``."""
        form = AttemptFormat(config.attempt_body_limit, config.attempt_head_limit)
        return cls(clock, store, config.log_successful_attempts, form, config.attempt_payload_limit, traced)

    def record(self, hook: Hook, request: HookRequest, outcome: Outcome, info: AttemptInfo) -> None:
        """Record one attempt, in memory for now.

        A success is recorded if `records_successes`, or if it is a sample's; else it is only counted.
        """
        now = self._clock.seconds()
        # An inline hook is not stored, and its health never read.
        if hook.revision and (outcome.success or outcome.counts_against_hook):
            counted = (
                HookHealth(last_success=now, successes=1)
                if outcome.success
                else HookHealth(last_failure=now, failures=1)
            )
            self._health[hook.id] = self._health.get(hook.id, _UNTRIED).merge(counted)
        if not outcome.success or self.records_successes or info.test:
            document = self.document(hook, request, outcome, info)
            revision = hook.revision if info.counts and not info.test else ""
            delivery = info.delivery
            replay = "" if delivery is None else encode_delivery(delivery, request, self._payload_limit)
            failed = not outcome.success
            self._waiting.append(
                Attempt(
                    hook.account_id,
                    hook.id,
                    revision,
                    failed,
                    now,
                    document,
                    replay=replay,
                    event_account_id=info.event_account_id,
                )
            )
            self._drop_oldest()
        self.schedule_flush()

    def count_success(self, hook: Hook, now: float, delivery_id: str) -> None:
        """Count a success at `now` (Unix seconds) that is not recorded."""
        self._delivered.append((now, delivery_id))
        if hook.revision:  # an inline hook is not stored, and its health never read
            counted = self._successes.get(hook.id)
            self._successes[hook.id] = (now, 1) if counted is None else (now, counted[1] + 1)
            if self._timer is None:
                self.schedule_flush()

    def document(
        self, hook: Hook, request: HookRequest, outcome: Outcome, info: AttemptInfo
    ) -> dict[str, Any]:
        """Return the attempt as REST shows it, but for its time."""
        return self._format.document(hook, request, outcome, info)

    def delivered(self, delivery_ids: Collection[str]) -> dict[str, float]:
        """Return when these deliveries succeeded, in Unix seconds, by id, as far as it is remembered."""
        wanted = frozenset(delivery_ids)
        return {one: made_at for made_at, one in self._delivered if one in wanted}

    # -- reading

    async def page(
        self, account_id: str, hook_id: str | None, before: int | None, count: int
    ) -> list[StoredAttempt]:
        """Like `IAttemptStore.page`, with everything that has been recorded here."""
        await self.flush()
        return await self._store.page(account_id, hook_id, before, count)

    async def attempt(self, account_id: str, hook_id: str | None, position: int) -> StoredAttempt | None:
        """Like `IAttemptStore.get`, with everything that has been recorded here."""
        await self.flush()
        return await self._store.get(account_id, hook_id, position)

    async def health(self, hook_ids: Collection[str]) -> Mapping[str, HookHealth]:
        """Like `IAttemptStore.health`, with everything that has been recorded here."""
        await self.flush()
        return await self._store.health(hook_ids)

    # -- writing

    async def _write_batches(self) -> None:
        self._add_successes()
        while self._waiting or self._health:
            batch, self._waiting = self._waiting[:BATCH_SIZE], self._waiting[BATCH_SIZE:]
            health, self._health = self._health, {}
            try:
                await self._store.add(batch, health)
            except StorageUnavailable:
                self._put_back(batch, health)
                raise
        if self._lost:
            _log.warn("attempts were lost while the storage was unavailable count={count}", count=self._lost)
            self._lost = 0

    def _add_successes(self) -> None:
        successes, self._successes = self._successes, {}
        for hook_id, (latest, number) in successes.items():
            counted = HookHealth(last_success=latest, successes=number)
            self._health[hook_id] = self._health.get(hook_id, _UNTRIED).merge(counted)

    def _put_back(self, batch: list[Attempt], health: Mapping[str, HookHealth]) -> None:
        self._waiting = batch + self._waiting
        self._drop_oldest()
        for hook_id, counted in health.items():
            self._health[hook_id] = counted.merge(self._health.get(hook_id, _UNTRIED))

    def _drop_oldest(self) -> None:
        surplus = max(0, len(self._waiting) - _MAX_WAITING)
        del self._waiting[:surplus]
        self._lost += surplus
