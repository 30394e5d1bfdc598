"""An attempt store in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
        self.latest.update(health)
        return succeed(None)

    def listed(self, account_id: str, hook_id: str | None, before: int | None, count: int) -> Deferred[list[StoredAttempt]]:
        found = [
            StoredAttempt(position, one.made, one.document)
            for position, one in enumerate(self.attempts)
            if one.account_id == account_id and hook_id in (None, one.hook_id) and (before is None or position < before)
        ]
        return succeed(found[::-1][:count])

    def health(self, hook_id: str) -> Deferred[HookHealth]:
        return succeed(self.latest.get(hook_id, HookHealth()))

    def failures(self, hook_id: str, revision: str, since: float) -> Deferred[int]:
        return succeed(
            sum(one.hook_id == hook_id and one.revision == revision and one.failed and one.made > since for one in self.attempts)
        )

    def over_limit(self, now: float, count: int, window: float) -> Deferred[list[tuple[str, str, str]]]:
        return succeed(self.over)
