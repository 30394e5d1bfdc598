"""How many attempts of a hook, and of an account, are stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import sqlalchemy as sa
from attrs import define, field, frozen
from sqlalchemy import Connection

from kazoo_bridge.interfaces import Attempt
from kazoo_bridge.storage.retention import BATCH_SIZE
from kazoo_bridge.storage.tables import attempts

#: Attempts beyond a limit, as a part of it, after which the oldest are deleted again.
_SLACK = 10

#: Hooks and accounts whose new attempts are counted.
_MAX_COUNTED = 20_000


@frozen
class Excess:
    """The attempts of one hook or account that are to be reduced: whose `column` has this `value`."""

    column: str
    value: str
    limit: int


@define
class AttemptLimits:
    """Decides when attempts of a hook or an account are to be deleted: the oldest beyond the limits.

    Counting stored attempts with each new one would cost more than the attempt. So this counts the new ones
    in memory: with the first one since the start, and then with every tenth of a limit, the oldest beyond the
    limit are deleted. Several nodes together keep a tenth more for each.
    """

    per_hook: int
    per_account: int
    _counts: Counter[tuple[str, str]] = field(init=False, factory=Counter)

    def count(self, made: Sequence[Attempt]) -> list[Excess]:
        """Count new attempts; returns which hooks and accounts are to be reduced with them."""
        new: Counter[tuple[str, str]] = Counter()
        for attempt in made:
            new["hook_id", attempt.hook_id] += 1
            new["account_id", attempt.account_id] += 1
        if len(self._counts) + len(new) > _MAX_COUNTED:
            self._counts.clear()
        return [excess for key, number in new.items() if (excess := self._count(key, number)) is not None]

    def _count(self, key: tuple[str, str], number: int) -> Excess | None:
        column, value = key
        limit = self.per_hook if column == "hook_id" else self.per_account
        counted = self._counts[key] + number
        is_due = key not in self._counts or counted >= max(1, limit // _SLACK)
        self._counts[key] = 0 if is_due else counted
        return Excess(column, value, limit) if is_due else None


def delete_excess(connection: Connection, excess: Excess) -> None:
    """Delete the oldest attempts beyond a limit, at most `BATCH_SIZE` of them so that others need not wait.

    A row that another node deletes at the same time is left to it.
    """
    column = attempts.c[excess.column]
    of_one = sa.select(attempts.c.sequence).where(column == excess.value)
    newest_beyond = connection.scalar(
        of_one.order_by(attempts.c.sequence.desc()).offset(excess.limit).limit(1)
    )
    if newest_beyond is None:
        return
    oldest = (
        of_one.where(attempts.c.sequence <= newest_beyond)
        .order_by(attempts.c.sequence)
        .limit(BATCH_SIZE)
        .with_for_update(skip_locked=True)
    )
    connection.execute(sa.delete(attempts).where(attempts.c.sequence.in_(oldest)))
