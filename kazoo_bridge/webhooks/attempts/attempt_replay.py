"""Makes a delivery again that an attempt was made at, whether it succeeded or failed."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, evolve
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.account_moves import moved_away
from kazoo_bridge.interfaces import IDeliveryStore, IDirectory, NotReplayable, StoredDelivery, UnknownAttempt
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.attempts.kept_delivery import decode_delivery
from kazoo_bridge.webhooks.hooks.hook_service import HookService

_REASON = "to be tried again"


@define
class AttemptReplayer:
    """Replays attempts. `on_due` is called with the time (Unix seconds) at which a delivery became due."""

    _clock: IReactorTime
    _recorder: AttemptRecorder
    _deliveries: IDeliveryStore
    _hooks: HookService
    _directory: IDirectory
    _on_due: Callable[[float], None]

    async def replay(self, account_id: str, hook_id: str | None, attempt_id: int) -> StoredDelivery:
        """Make the delivery of an attempt due now, and return it.

        It keeps its id; its attempts and its age count from now. If it is waiting or dead, that delivery
        becomes due. Raises `UnknownAttempt`, also when the event's account has moved away, `NotReplayable`
        or `StorageUnavailable`.
        """
        attempt = await self._recorder.attempt(account_id, hook_id, attempt_id)
        if attempt is None or await moved_away(self._directory, [attempt.event_account_id], account_id):
            raise UnknownAttempt
        if attempt.document.get("test"):
            raise NotReplayable("it was a sample: send another one")
        if not attempt.replay:
            raise NotReplayable("the payload was too large to be kept, or the attempt is too old")
        now = self._clock.seconds()
        delivery = evolve(decode_delivery(attempt.replay), attempts=0, replayed_at=now)
        if delivery.inline_hook is None and await self._hooks.get(account_id, delivery.hook_id) is None:
            raise NotReplayable("its hook has been deleted")
        await self._deliveries.enqueue([(delivery, now, _REASON)])
        # `enqueue` leaves a stored delivery as it is: this makes it due, and lets its age count from now.
        await self._deliveries.retry(account_id, delivery.hook_id, delivery.id, now)
        self._on_due(now)
        return StoredDelivery(0, delivery, "pending", now, now, _REASON)
