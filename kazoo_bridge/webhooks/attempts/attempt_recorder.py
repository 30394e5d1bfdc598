"""What was sent and what came back: collected in memory, kept in batches."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import Attempt, HookHealth, IAttemptStore, StorageUnavailable, StoredAttempt
from kazoo_bridge.webhooks.delivery.coalescing import CoalescingTask
from kazoo_bridge.webhooks.egress import mask_credentials
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Outcome

_log = Logger()

#: Seconds for which attempts are collected before they are written.
_COLLECT_SECONDS = 0.2

#: Attempts that wait for the storage; beyond it the oldest are lost, for deliveries matter more than the record of them.
_MAX_WAITING = 10_000

#: How many are written in one transaction.
_BATCH_SIZE = 500

_NONE = HookHealth()


@frozen
class AttemptInfo:
    """Which try at a delivery it was. `retries_left` counts the quick retries that will follow a failure."""

    event_id: str
    retries: int
    retries_left: int
    test: bool = False


@define(eq=False)
class AttemptRecorder(Service):
    """Keeps failures, and successes if it is asked to. `body_limit` is in bytes."""

    _clock: IReactorTime
    _store: IAttemptStore
    records_successes: bool
    _body_limit: int
    _waiting: list[Attempt] = field(init=False, factory=list)
    _health: dict[str, HookHealth] = field(init=False, factory=dict)
    _timer: IDelayedCall | None = field(init=False, default=None)
    _writes: CoalescingTask = field(init=False)
    _lost: int = field(init=False, default=0)
    _down: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self._writes = CoalescingTask(self._write)

    def record(self, hook: Hook, request: HookRequest, outcome: Outcome, tried: AttemptInfo) -> None:
        """Take note of one attempt. Costs next to nothing for a success that is not kept."""
        now = self._clock.seconds()
        if hook.revision:  # else an event has brought it, and nobody will ever ask for its health
            made = (
                HookHealth(last_success=now, successes=1)
                if outcome.success
                else HookHealth(last_failure=now, failures=1)
            )
            self._health[hook.id] = self._health.get(hook.id, _NONE).merge(made)
        if not outcome.success or self.records_successes or tried.test:
            document = self.document(hook, request, outcome, tried)
            revision = "" if tried.test else hook.revision
            self._waiting.append(
                Attempt(hook.account_id, hook.id, revision, not outcome.success, now, document)
            )
            if len(self._waiting) > _MAX_WAITING:
                del self._waiting[0]
                self._lost += 1
        self._write_soon()

    def document(
        self, hook: Hook, request: HookRequest, outcome: Outcome, tried: AttemptInfo
    ) -> dict[str, Any]:
        """An attempt in KAZOO's form."""
        document: dict[str, Any] = {
            "hook_id": hook.id,
            "hook_event": hook.event,
            "event_id": tried.event_id,
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
        if tried.test:
            document["test"] = True
        return document | self._response(outcome) | _retries(outcome, tried)

    def _response(self, outcome: Outcome) -> dict[str, Any]:
        if outcome.status is None:
            return {"reason": "kazoo http client error", "client_error": outcome.error}
        answer: dict[str, Any] = {
            "resp_status_code": str(outcome.status),
            "resp_headers": _lower(outcome.headers),
            "resp_body": self._truncate(outcome.body),
        }
        if not outcome.success:
            answer["reason"] = "bad response code"
        if outcome.error:
            answer["client_error"] = outcome.error
        return answer

    def _truncate(self, body: bytes) -> str:
        return body[: self._body_limit].decode("utf-8", "replace")

    # -- reading

    async def page(
        self, account_id: str, hook_id: str | None, before: int | None, count: int
    ) -> list[StoredAttempt]:
        """As `IAttemptStore.page`, with everything recorded up to now."""
        await self.flush()
        return await self._store.page(account_id, hook_id, before, count)

    async def health(self, hook_ids: Collection[str]) -> Mapping[str, HookHealth]:
        """As `IAttemptStore.health`, with everything recorded up to now."""
        await self.flush()
        return await self._store.health(hook_ids)

    # -- writing

    def _write_soon(self) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(_COLLECT_SECONDS, self._write_now)

    def _write_now(self) -> None:
        self._timer = None
        self.flush().addErrback(lambda failure: _log.failure("attempts cannot be kept", failure))

    def flush(self) -> Deferred[None]:
        """Write what has been recorded; fires when that is done. While the storage refuses, it stays here for the next time."""
        return self._writes.run()

    async def _write(self) -> None:
        while self._waiting or self._health:
            if not await self._write_batch():
                return

    async def _write_batch(self) -> bool:
        batch, self._waiting = self._waiting[:_BATCH_SIZE], self._waiting[_BATCH_SIZE:]
        health, self._health = self._health, {}
        try:
            await self._store.add(batch, health)
        except StorageUnavailable as error:
            self._requeue(batch, health, error)
            return False
        if self._down:
            _log.info("attempts are kept again; {lost} were lost", lost=self._lost)
            self._down, self._lost = False, 0
        return True

    def _requeue(
        self, batch: list[Attempt], health: Mapping[str, HookHealth], error: StorageUnavailable
    ) -> None:
        room = max(0, _MAX_WAITING - len(self._waiting))
        self._lost += max(0, len(batch) - room)
        self._waiting = batch[len(batch) - min(room, len(batch)) :] + self._waiting
        self._health = {
            **self._health,
            **{hook_id: one.merge(self._health.get(hook_id, _NONE)) for hook_id, one in health.items()},
        }
        if not self._down:
            self._down = True
            _log.warn("attempts cannot be kept for now: {reason}", reason=error)
        if self.running:
            self._write_soon()

    def stopService(self) -> Deferred[None]:
        """Write what there is, once; fires when that is done."""
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return self.flush()


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _retries(outcome: Outcome, tried: AttemptInfo) -> dict[str, Any]:
    if outcome.success or tried.test:
        return {}
    return {"retries": tried.retries, "retries_left": tried.retries_left or "retries exceeded"}
