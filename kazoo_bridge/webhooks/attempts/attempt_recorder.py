"""Records attempts in KAZOO's form: collected in memory, written in batches."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.config import Webhooks
from kazoo_bridge.interfaces import (
    Attempt,
    Delivery,
    HookHealth,
    IAttemptStore,
    StorageUnavailable,
    StoredAttempt,
)
from kazoo_bridge.webhooks.attempts.hidden_headers import hide_headers
from kazoo_bridge.webhooks.attempts.kept_delivery import encode_delivery
from kazoo_bridge.webhooks.batch_writer import BATCH_SIZE, BatchWriter
from kazoo_bridge.webhooks.egress import mask_credentials
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Outcome

_log = Logger()

#: Attempts that wait for the storage; of more, the oldest are lost: deliveries matter more than their record.
_MAX_WAITING = 10_000

_UNTRIED = HookHealth()


@frozen
class AttemptInfo:
    """Which attempt at a delivery it was.

    `retries` is the hook's number of quick retries, `retries_left` how many of them follow a failure of this
    attempt. `test`: a sample. `counts`: whether a failure counts against the hook. `delivery`: kept
    for a replay.
    """

    event_id: str
    retries: int
    retries_left: int
    test: bool = False
    counts: bool = True
    delivery: Delivery | None = None


@define(eq=False)
class AttemptRecorder(BatchWriter):
    """Records failures, and successes if `records_successes`; counts both for the health of hooks.

    Of a body at most `body_limit` bytes are recorded, and deliveries of at most `payload_limit` bytes of JSON
    are kept for replays.
    """

    _store: IAttemptStore
    records_successes: bool
    _body_limit: int
    _payload_limit: int = 0
    _waiting: list[Attempt] = field(init=False, factory=list)
    _health: dict[str, HookHealth] = field(init=False, factory=dict)
    _lost: int = field(init=False, default=0)

    content = "attempts"
    collect_interval = 0.2

    @classmethod
    def from_config(cls, clock: IReactorTime, config: Webhooks, store: IAttemptStore) -> AttemptRecorder:
        """Build the recorder of the section ``[webhooks]``."""
        return cls(
            clock,
            store,
            config.log_successful_attempts,
            config.attempt_body_limit,
            config.attempt_payload_limit,
        )

    def record(self, hook: Hook, request: HookRequest, outcome: Outcome, info: AttemptInfo) -> None:
        """Record one attempt, in memory for now. A success that is not recorded is only counted."""
        now = self._clock.seconds()
        # A hook of an event is not stored, so its health is never asked for.
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
                Attempt(hook.account_id, hook.id, revision, failed, now, document, replay=replay)
            )
            self._drop_oldest()
        self.schedule_flush()

    def document(
        self, hook: Hook, request: HookRequest, outcome: Outcome, info: AttemptInfo
    ) -> dict[str, Any]:
        """Return the attempt in the form of KAZOO's ``webhook_attempt`` documents."""
        request, outcome = hide_headers(hook, request, outcome)
        document: dict[str, Any] = {
            "hook_id": hook.id,
            "hook_event": hook.event,
            "event_id": info.event_id,
            "method": request.method.lower(),
            "uri": mask_credentials(hook.uri),
            "req_headers": {
                name: value for name, value in _lower(request.headers).items() if name != "webhook-signature"
            },
            "req_body": self._truncate(request.body),
            "result": "success" if outcome.success else "failure",
        }
        if hook.custom_data:
            document["custom_data"] = dict(hook.custom_data)
        if request.url != hook.uri:
            document["url"] = mask_credentials(request.url)
        if info.test:
            document["test"] = True
        return document | self._response(outcome) | _retries(outcome, info)

    def _response(self, outcome: Outcome) -> dict[str, Any]:
        if outcome.status is None:
            return {"reason": "kazoo http client error", "client_error": outcome.error}
        response: dict[str, Any] = {
            "resp_status_code": str(outcome.status),
            "resp_headers": _lower(outcome.headers),
            "resp_body": self._truncate(outcome.body),
        }
        if not outcome.success:
            response["reason"] = "bad response code"
        if outcome.error:
            response["client_error"] = outcome.error
        return response

    def _truncate(self, body: bytes) -> str:
        return body[: self._body_limit].decode("utf-8", "replace")

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

    def _put_back(self, batch: list[Attempt], health: Mapping[str, HookHealth]) -> None:
        self._waiting = batch + self._waiting
        self._drop_oldest()
        for hook_id, counted in health.items():
            self._health[hook_id] = counted.merge(self._health.get(hook_id, _UNTRIED))

    def _drop_oldest(self) -> None:
        surplus = max(0, len(self._waiting) - _MAX_WAITING)
        del self._waiting[:surplus]
        self._lost += surplus


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _retries(outcome: Outcome, info: AttemptInfo) -> dict[str, Any]:
    if outcome.success or info.test:
        return {}
    return {"retries": info.retries, "retries_left": info.retries_left or "retries exceeded"}
