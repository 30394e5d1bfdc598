"""Deliveries that could not be made at once: stored, leased to a node, retried."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Row
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from kazoo_bridge.interfaces import (
    Delivery,
    DeliveryResults,
    IDeliveryStore,
    StoredDelivery,
)
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.delivery_queries import (
    count_by_hook,
    is_due,
    select_due_hooks,
    select_hooks_with,
    select_page,
)
from kazoo_bridge.storage.delivery_rows import NO_LEASE, WAITING, from_row, to_row
from kazoo_bridge.storage.engine import in_batches, insert_into
from kazoo_bridge.storage.retention import BATCH_SIZE
from kazoo_bridge.storage.tables import deliveries

_log = Logger()

_UNREADABLE = "the stored delivery cannot be read"

_c = deliveries.c


@implementer(IDeliveryStore)
class DeliveryStore:
    """See `IDeliveryStore`. Times are in Unix seconds. Every Deferred may fail with `StorageUnavailable`."""

    def __init__(self, database: Database, hook_source: str | None = None) -> None:
        """Note of each delivery that its hook is one of `hook_source`, a ``webhooks.source``."""
        self._database = database
        self._hook_source = hook_source

    def enqueue(self, waiting: Sequence[tuple[Delivery, float | None, str]]) -> Deferred[None]:
        """Store deliveries, each with the time of its next attempt and the reason.

        None for the time: the delivery is dead; `UNTIL_ENABLED`: it is held.
        A delivery whose id is stored already stays as it is. Deliveries with the same ordering key are made
        in the order in which they are stored.
        """
        return self._database.write(lambda connection: enqueue(connection, waiting, self._hook_source))

    def due_hooks(self, now: float) -> Deferred[list[str]]:
        """Read the ids of the hooks that have a delivery to claim at the time `now`."""
        return self._database.read(lambda connection: select_due_hooks(connection, now))

    def claim(
        self, owner: str, now: float, until: float, limits: Mapping[str, int]
    ) -> Deferred[list[Delivery]]:
        """Lease due deliveries to `owner` until the time `until`, those with the earliest next attempt first.

        `limits` maps hook ids to the number of deliveries to claim at most. Of deliveries with the same
        ordering key only the first can be claimed. `now` and `until` are in Unix seconds.
        """
        return self._database.write(lambda connection: _claim(connection, owner, now, until, limits))

    def record_results(self, results: DeliveryResults, now: float) -> Deferred[None]:
        """Store the results of claimed deliveries; `now` is in Unix seconds."""
        return self._database.write(lambda connection: _record_results(connection, results, now))

    def pause(self, hook_id: str) -> Deferred[int]:
        """Hold the hook's pending deliveries; fires with their number."""
        return self._database.write(
            lambda connection: _set_status(connection, hook_id, "pending", status="held")
        )

    def resume(self, hook_id: str, now: float) -> Deferred[int]:
        """Make the hook's held deliveries pending, due at the time `now`, with all retries still to come.

        Fires with their number.
        """
        # The first attempt stays counted, because it counts towards the failures of the hook.
        attempted_once = sa.case((_c.tries > 1, 1), else_=_c.tries)
        return self._database.write(
            lambda connection: _set_status(
                connection, hook_id, "held", status="pending", next_attempt=now, tries=attempted_once
            )
        )

    def claim_held(
        self, hook_id: str, owner: str, now: float, until: float, skip: int
    ) -> Deferred[Delivery | None]:
        """Lease the oldest held delivery of the hook, or one of those after it; None if there is none.

        At most `skip` older ones are passed over. Of deliveries with the same ordering key only the first can
        be claimed. `now` and `until`, the end of the lease, are in Unix seconds.
        """
        return self._database.write(
            lambda connection: _claim_held(connection, hook_id, owner, now, until, skip)
        )

    def drop_held(self, hook_id: str, made_before: float, now: float) -> Deferred[int]:
        """Delete held deliveries of the hook that were made, or last replayed, before a time (Unix seconds).

        Leased ones are left alone. Fires with the number of deleted ones, `BATCH_SIZE` at most.
        """
        return self._database.write(lambda connection: _drop_held(connection, hook_id, made_before, now))

    def give_up(self, hook_id: str, now: float, reason: str) -> Deferred[int]:
        """Make the hook's waiting deliveries dead at `now` (Unix seconds); fires with their number."""
        given_up = (
            sa.update(deliveries)
            .where(_c.hook_id == hook_id, _c.status.in_(WAITING))
            .values(status="dead", changed=now, reason=reason)
        )
        return self._database.write(lambda connection: connection.execute(given_up).rowcount)

    def paused_hooks(self) -> Deferred[list[str]]:
        """Read the ids of the hooks with held deliveries."""
        return self._database.read(lambda connection: select_hooks_with(connection, "held"))

    def delete(self, hook_id: str) -> Deferred[int]:
        """Delete the deliveries of a hook that this node's source of hooks does not have.

        Those of a hook of another source stay, and wait as held ones until that is the source again. Fires
        with their number, dead ones included.
        """
        return self._database.write(lambda connection: _delete(connection, hook_id, self._hook_source))

    def waiting_counts(self, hook_ids: Collection[str]) -> Deferred[Mapping[str, int]]:
        """Count the pending and held deliveries of each of these hooks; hooks without any are left out."""
        return self._database.read(lambda connection: count_by_hook(connection, hook_ids, WAITING))

    def dead_counts(self, hook_ids: Collection[str]) -> Deferred[Mapping[str, int]]:
        """Count the dead deliveries of each of these hooks; hooks without any are left out."""
        return self._database.read(lambda connection: count_by_hook(connection, hook_ids, ("dead",)))

    def counts(self) -> Deferred[Mapping[str, int]]:
        """Count the deliveries of each status: ``pending``, ``held`` and ``dead``."""
        query = sa.select(_c.status, sa.func.count().label("number")).group_by(_c.status)
        none = dict.fromkeys((*WAITING, "dead"), 0)
        return self._database.read(
            lambda connection: none | {row.status: row.number for row in connection.execute(query)}
        )

    def oldest_waiting(self) -> Deferred[Mapping[str, float]]:
        """Read since when the oldest ``pending`` and the oldest ``held`` delivery wait, in Unix seconds."""
        since = sa.func.min(sa.func.coalesce(_c.waiting_since, _c.created)).label("since")
        query = sa.select(_c.status, since).where(_c.status.in_(WAITING)).group_by(_c.status)
        return self._database.read(
            lambda connection: {row.status: row.since for row in connection.execute(query)}
        )

    def page(
        self, account_id: str, hook_id: str | None, status: str, before: int | None, count: int
    ) -> Deferred[list[StoredDelivery]]:
        """Read at most `count` deliveries of the account with this status, newest first.

        The status ``pending`` includes held deliveries. `hook_id` restricts them to one hook, `before` to
        positions below it. Large ones come in smaller numbers, see `read_bounded`.
        """
        return self._database.read(
            lambda connection: select_page(connection, account_id, hook_id, status, before, count)
        )

    def retry(self, account_id: str, hook_id: str, delivery_id: str, now: float) -> Deferred[bool]:
        """Make one dead or waiting delivery due at the time `now`, its attempts counted from 0.

        Fires with False if the hook of this account has no such delivery.
        """
        where = (_c.id == delivery_id, _c.account_id == account_id, _c.hook_id == hook_id)
        return self._database.write(lambda connection: revive(connection, now, *where) > 0)

    def replay(
        self,
        account_id: str,
        hook_id: str | None,
        since: float,
        now: float,
        except_hooks: Collection[str] = (),
    ) -> Deferred[int]:
        """Make the deliveries that died at the time `since` or later due at the time `now`.

        They are those of one hook, or with None those of the whole account without the stored hooks
        `except_hooks`. Fires with their number.
        """
        where = [_c.account_id == account_id, _c.status == "dead", _c.changed >= since]
        if hook_id is not None:
            where.append(_c.hook_id == hook_id)
        if except_hooks:
            where.append(sa.or_(_c.own_hook.is_not(None), _c.hook_id.not_in(except_hooks)))
        return self._database.write(lambda connection: revive(connection, now, *where))


def enqueue(
    connection: Connection,
    waiting: Sequence[tuple[Delivery, float | None, str]],
    hook_source: str | None = None,
) -> None:
    """Store deliveries; see `DeliveryStore.enqueue`."""
    rows = [to_row(delivery, next_attempt, reason, hook_source) for delivery, next_attempt, reason in waiting]
    if connection.dialect.name == "postgresql":
        # Two nodes may store the same deliveries at once: inserting them in different orders would
        # deadlock. They are inserted in the order of their ids, so their sequence numbers, which carry
        # their order, are assigned before.
        for row, sequence in zip(rows, _next_sequences(connection, len(rows)), strict=True):
            row["sequence"] = sequence
        rows.sort(key=lambda row: str(row["id"]))
    insert = insert_into(connection, deliveries)
    connection.execute(insert.on_conflict_do_nothing(index_elements=["id"]), rows)


def _next_sequences(connection: Connection, count: int) -> list[int]:
    numbers = sa.text(
        "SELECT nextval(pg_get_serial_sequence('deliveries', 'sequence')) FROM generate_series(1, :count)"
    )
    return sorted(connection.scalars(numbers, {"count": count}))


def _claim(
    connection: Connection, owner: str, now: float, until: float, limits: Mapping[str, int]
) -> list[Delivery]:
    claimed: list[Row[Any]] = []
    for hook_id in sorted(limits):
        claimed += connection.execute(_claimable(hook_id, now).limit(limits[hook_id])).all()
    # Together, because a receiver that recovers can have a thousand hooks.
    for batch in in_batches(tuple(row.sequence for row in claimed)):
        lease = sa.update(deliveries).where(_c.sequence.in_(batch))
        connection.execute(lease.values(lease_owner=owner, lease_until=until))
    return _readable(connection, claimed, now)


def _readable(connection: Connection, rows: Sequence[Row[Any]], now: float) -> list[Delivery]:
    """Return the deliveries of `rows`; one that cannot be read becomes dead, as no other attempt will."""
    found = []
    for row in rows:
        try:
            found.append(from_row(row))
        except ValueError:
            _log.failure(
                "stored delivery cannot be read hook_id={hook_id} delivery_id={delivery_id}",
                hook_id=row.hook_id,
                delivery_id=row.id,
            )
            _update_each(
                connection,
                ("tries", "reason"),
                [(row.id, row.tries, _UNREADABLE)],
                status="dead",
                changed=now,
            )
    return found


def _is_first() -> ColumnElement[bool]:
    """No earlier delivery with the same ordering key waits."""
    earlier = deliveries.alias("earlier")
    has_earlier = sa.exists().where(
        earlier.c.hook_id == _c.hook_id,
        earlier.c.ordering == _c.ordering,
        earlier.c.sequence < _c.sequence,
        earlier.c.status.in_(WAITING),
    )
    return sa.or_(_c.ordering == "", ~has_earlier)


def _claimable(hook_id: str, now: float) -> Any:
    return (
        sa.select(deliveries)
        .where(_c.hook_id == hook_id, *is_due(now), _is_first())
        .order_by(_c.next_attempt, _c.sequence)
        .with_for_update(skip_locked=True, of=deliveries)
    )


def _claim_held(
    connection: Connection, hook_id: str, owner: str, now: float, until: float, skip: int
) -> Delivery | None:
    oldest = (
        sa.select(deliveries)
        .where(_c.hook_id == hook_id, _c.status == "held", _c.lease_until <= now, _is_first())
        .order_by(_c.sequence)
        .limit(skip + 1)
        .with_for_update(skip_locked=True, of=deliveries)
    )
    # A row that cannot be read is no longer held afterwards.
    while rows := connection.execute(oldest).all():
        if readable := _readable(connection, rows[-1:], now):
            lease = sa.update(deliveries).where(_c.sequence == rows[-1].sequence)
            connection.execute(lease.values(lease_owner=owner, lease_until=until))
            return readable[0]
    return None


def _drop_held(connection: Connection, hook_id: str, made_before: float, now: float) -> int:
    old = (
        sa.select(_c.sequence)
        .where(_c.hook_id == hook_id, _c.status == "held", _c.lease_until <= now)
        .where(sa.func.coalesce(_c.waiting_since, _c.created) < made_before)
        .limit(BATCH_SIZE)
    )
    return connection.execute(sa.delete(deliveries).where(_c.sequence.in_(old))).rowcount


def _record_results(connection: Connection, results: DeliveryResults, now: float) -> None:
    if results.delivered:
        connection.execute(sa.delete(deliveries).where(_c.id.in_(results.delivered)))
    if results.released:
        connection.execute(sa.update(deliveries).where(_c.id.in_(results.released)).values(**NO_LEASE))
    if results.retry:
        _update_each(connection, ("tries", "next_attempt", "reason"), results.retry, changed=now)
    if results.dead:
        _update_each(connection, ("tries", "reason"), results.dead, status="dead", changed=now)


def _update_each(
    connection: Connection, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], **values: Any
) -> None:
    """End the leases of deliveries.

    Each row is an id and new values of `columns`, `values` are those of all rows.
    """
    given: dict[str, Any] = {name: sa.bindparam(f"given_{name}") for name in columns}
    update = sa.update(deliveries).where(_c.id == sa.bindparam("given_id"))
    keys = [f"given_{name}" for name in ("id", *columns)]
    connection.execute(
        update.values(**given, **NO_LEASE, **values), [dict(zip(keys, row, strict=True)) for row in rows]
    )


def _set_status(connection: Connection, hook_id: str, source: str, **values: Any) -> int:
    update = sa.update(deliveries).where(_c.hook_id == hook_id, _c.status == source)
    return connection.execute(update.values(**values)).rowcount


def _delete(connection: Connection, hook_id: str, hook_source: str | None) -> int:
    """Delete deliveries; see `DeliveryStore.delete`. None: those of every source."""
    is_own = sa.or_(_c.hook_source.is_(None), _c.hook_source == hook_source)
    connection.execute(
        sa.delete(deliveries).where(_c.hook_id == hook_id, sa.true() if hook_source is None else is_own)
    )
    _set_status(connection, hook_id, "pending", status="held")
    others = sa.select(sa.func.count()).select_from(deliveries).where(_c.hook_id == hook_id)
    return connection.scalar(others) or 0


def revive(connection: Connection, now: float, *where: Any) -> int:
    """Make the deliveries of these conditions due at `now` (Unix seconds); return how many there are."""
    values = {
        "status": "pending",
        "tries": 0,
        "next_attempt": now,
        "changed": now,
        "reason": "to be tried again",
        "waiting_since": now,
    }
    return connection.execute(sa.update(deliveries).where(*where).values(**values)).rowcount
