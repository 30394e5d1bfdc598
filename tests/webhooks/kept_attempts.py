"""An attempt store in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from kazoo_bridge.interfaces import Attempt, HookHealth, IAttemptStore, StorageUnavailable, StoredAttempt


@implementer(IAttemptStore)
@define
class KeptAttempts:
    """Refuses while `down` is set. `batches` has the size of every write."""

    attempts: list[Attempt] = field(factory=list)
    latest: dict[str, HookHealth] = field(factory=dict)
    batches: list[int] = field(factory=list)
    down: bool = False
    over: list[tuple[str, str, str]] = field(factory=list)

    def add(self, made: Sequence[Attempt], health: Mapping[str, HookHealth]) -> Deferred[None]:
        if self.down:
            return fail(StorageUnavailable("the disk is full"))
        self.batches.append(len(made))
        self.attempts += made
        self.latest.update(
            {hook_id: self.latest.get(hook_id, HookHealth()).merge(one) for hook_id, one in health.items()}
        )
        return succeed(None)

    def page(
        self, account_id: str, hook_id: str | None, before: int | None, count: int
    ) -> Deferred[list[StoredAttempt]]:
        found = [
            StoredAttempt(position, one.made_at, one.document)
            for position, one in enumerate(self.attempts)
            if one.account_id == account_id
            and hook_id in (None, one.hook_id)
            and (before is None or position < before)
        ]
        return succeed(found[::-1][:count])

    def health(self, hook_ids: Collection[str]) -> Deferred[Mapping[str, HookHealth]]:
        return succeed({hook_id: self.latest[hook_id] for hook_id in hook_ids if hook_id in self.latest})

    def failures(self, revisions: Mapping[str, str], since: float) -> Deferred[Mapping[str, int]]:
        failed = (one for one in self.attempts if one.failed and one.made_at > since)
        return succeed(Counter(one.hook_id for one in failed if revisions.get(one.hook_id) == one.revision))

    def hooks_over_failure_limit(
        self, now: float, count: int, window: float
    ) -> Deferred[list[tuple[str, str, str]]]:
        return succeed(self.over)
