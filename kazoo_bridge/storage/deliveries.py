"""Deliveries that could not be made at once: kept, leased, settled."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row
from sqlalchemy.dialects import postgresql, sqlite
from twisted.internet.defer import Deferred
from zope.interface import implementer

from kazoo_bridge.interfaces import Delivery, DeliveryResults, IDeliveryStore, StoredDelivery
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.tables import deliveries

_FAR_FUTURE = 0.0
_c = deliveries.c
_WAITING = ("pending", "held")


@implementer(IDeliveryStore)
class DeliveryStore:
    """See `IDeliveryStore`. Every Deferred may fail with `StorageUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def enqueue(self, waiting: Sequence[tuple[Delivery, float | None, str]]) -> Deferred[None]:
        """Keep deliveries until their next attempt."""
        return self._database.write(lambda connection: _enqueue(connection, waiting))

    def due_hooks(self, now: float) -> Deferred[list[str]]:
        """The hooks for which something can be claimed."""
        return self._database.read(lambda connection: _due(connection, now))

    def claim(
        self, owner: str, now: float, until: float, room: Mapping[str, int]
    ) -> Deferred[list[Delivery]]:
        """Lease due deliveries."""
        return self._database.write(lambda connection: _claim(connection, owner, now, until, room))

    def record_results(self, settlement: DeliveryResults, now: float) -> Deferred[None]:
        """Take note of what became of claimed deliveries."""
        return self._database.write(lambda connection: _record_results(connection, settlement, now))

    def pause(self, hook_id: str) -> Deferred[None]:
        """Let the hook's deliveries wait."""
        return self._database.write(
            lambda connection: _set_status(connection, hook_id, "pending", status="held")
        )

    def resume(self, hook_id: str, now: float) -> Deferred[None]:
        """Let the hook's held deliveries go out."""
        return self._database.write(
            lambda connection: _set_status(connection, hook_id, "held", status="pending", next_attempt=now)
        )

    def paused_hooks(self) -> Deferred[list[str]]:
        """The hooks with held deliveries."""
        return self._database.read(lambda connection: _hooks(connection, "held"))

    def delete(self, hook_id: str) -> Deferred[None]:
        """The hook is no more: delete its deliveries."""
        return self._database.write(lambda connection: _delete(connection, hook_id))

    def waiting_counts(self, hook_ids: Collection[str]) -> Deferred[Mapping[str, int]]:
        """How many of each hook's deliveries wait."""
        query = sa.select(_c.hook_id, sa.func.count().label("number")).where(
            _c.hook_id.in_(hook_ids), _c.status.in_(_WAITING)
        )
        return self._database.read(
            lambda connection: {
                row.hook_id: row.number for row in connection.execute(query.group_by(_c.hook_id))
            }
        )

    def counts(self) -> Deferred[Mapping[str, int]]:
        """Those that wait, are held, or are dead."""
        query = sa.select(_c.status, sa.func.count().label("number")).group_by(_c.status)
        none = dict.fromkeys((*_WAITING, "dead"), 0)
        return self._database.read(
            lambda connection: none | {row.status: row.number for row in connection.execute(query)}
        )

    def page(
        self, account_id: str, hook_id: str | None, status: str, before: int | None, count: int
    ) -> Deferred[list[StoredDelivery]]:
        """The newest deliveries first."""
        return self._database.read(
            lambda connection: _page(connection, account_id, hook_id, status, before, count)
        )

    def retry(self, account_id: str, hook_id: str, delivery_id: str, now: float) -> Deferred[bool]:
        """Make one delivery due at once."""
        where = (_c.id == delivery_id, _c.account_id == account_id, _c.hook_id == hook_id)
        return self._database.write(lambda connection: _revive(connection, now, *where) > 0)

    def replay(self, account_id: str, hook_id: str | None, since: float, now: float) -> Deferred[int]:
        """Make what is dead due at once."""
        where = [_c.account_id == account_id, _c.status == "dead", _c.changed >= since]
        if hook_id is not None:
            where.append(_c.hook_id == hook_id)
        return self._database.write(lambda connection: _revive(connection, now, *where))


def _enqueue(connection: Connection, waiting: Sequence[tuple[Delivery, float | None, str]]) -> None:
    rows = [_row(delivery, next_attempt, reason) for delivery, next_attempt, reason in waiting]
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    # In one order on every node, or two that keep the same deliveries could wait for each other.
    connection.execute(dialect.insert(deliveries).on_conflict_do_nothing(index_elements=["id"]), rows)


def _row(delivery: Delivery, next_attempt: float | None, reason: str) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "hook_id": delivery.hook_id,
        "account_id": delivery.account_id,
        "event": delivery.event,
        "event_id": delivery.event_id,
        "ordering": delivery.ordering_key,
        "payload": _dump(delivery.payload),
        "own_hook": None if delivery.inline_hook is None else _dump(delivery.inline_hook),
        "status": "dead" if next_attempt is None else "pending",
        "tries": delivery.attempts,
        "next_attempt": next_attempt or 0.0,
        "lease_owner": None,
        "lease_until": _FAR_FUTURE,
        "created": delivery.created,
        "changed": delivery.created,
        "reason": reason,
    }


def _dump(value: Mapping[str, Any]) -> str:
    # ASCII only: PostgreSQL's text takes neither NUL nor lone surrogates.
    return json.dumps(value, separators=(",", ":"))


def _is_due(now: float) -> list[Any]:
    return [_c.status == "pending", _c.next_attempt <= now, _c.lease_until <= now]


def _hooks(connection: Connection, status: str, *where: Any) -> list[str]:
    """The hooks that have a delivery of this status, and one that fulfils all of `where`."""
    # From hook to hook along the index, whatever the number of deliveries of each.
    first = (
        sa.select(sa.func.min(_c.hook_id).label("hook_id"))
        .where(_c.status == status)
        .cte("hooks", recursive=True)
    )
    following = (
        sa.select(sa.func.min(_c.hook_id))
        .where(_c.status == status, _c.hook_id > first.c.hook_id)
        .scalar_subquery()
    )
    hooks = first.union_all(sa.select(following).where(first.c.hook_id.is_not(None)))
    found = sa.select(hooks.c.hook_id).where(hooks.c.hook_id.is_not(None))
    if where:
        found = found.where(sa.exists().where(_c.hook_id == hooks.c.hook_id, *where))
    return list(connection.scalars(found))


def _due(connection: Connection, now: float) -> list[str]:
    return _hooks(connection, "pending", *_is_due(now))


def _claim(
    connection: Connection, owner: str, now: float, until: float, room: Mapping[str, int]
) -> list[Delivery]:
    claimed: list[Delivery] = []
    for hook_id in sorted(room):
        rows = connection.execute(_claimable(hook_id, now).limit(room[hook_id])).all()
        if rows:
            ids = [row.sequence for row in rows]
            connection.execute(
                sa.update(deliveries).where(_c.sequence.in_(ids)).values(lease_owner=owner, lease_until=until)
            )
            claimed += map(_delivery, rows)
    return claimed


def _claimable(hook_id: str, now: float) -> Any:
    earlier = deliveries.alias("earlier")
    before_it = sa.exists().where(
        earlier.c.hook_id == _c.hook_id,
        earlier.c.ordering == _c.ordering,
        earlier.c.sequence < _c.sequence,
        earlier.c.status.in_(_WAITING),
    )
    return (
        sa.select(deliveries)
        .where(_c.hook_id == hook_id, *_is_due(now), sa.or_(_c.ordering == "", ~before_it))
        .order_by(_c.next_attempt, _c.sequence)
        .with_for_update(skip_locked=True, of=deliveries)
    )


def _record_results(connection: Connection, settlement: DeliveryResults, now: float) -> None:
    free: dict[str, Any] = {"lease_owner": None, "lease_until": _FAR_FUTURE}
    if settlement.delivered:
        connection.execute(sa.delete(deliveries).where(_c.id.in_(settlement.delivered)))
    if settlement.released:
        connection.execute(sa.update(deliveries).where(_c.id.in_(settlement.released)).values(**free))
    if settlement.retry:
        changes: dict[str, Any] = {
            "tries": sa.bindparam("its_tries"),
            "next_attempt": sa.bindparam("its_next"),
            "reason": sa.bindparam("its_reason"),
        }
        rows: list[dict[str, Any]] = [
            {"its_id": one[0], "its_tries": one[1], "its_next": one[2], "its_reason": one[3]}
            for one in settlement.retry
        ]
        connection.execute(_one().values(**changes, **free, changed=now), rows)
    if settlement.dead:
        changes = {"tries": sa.bindparam("its_tries"), "reason": sa.bindparam("its_reason")}
        rows = [{"its_id": one[0], "its_tries": one[1], "its_reason": one[2]} for one in settlement.dead]
        connection.execute(_one().values(**changes, **free, status="dead", changed=now), rows)


def _one() -> Any:
    return sa.update(deliveries).where(_c.id == sa.bindparam("its_id"))


def _set_status(connection: Connection, hook_id: str, source: str, **values: Any) -> None:
    connection.execute(
        sa.update(deliveries).where(_c.hook_id == hook_id, _c.status == source).values(**values)
    )


def _delete(connection: Connection, hook_id: str) -> None:
    connection.execute(sa.delete(deliveries).where(_c.hook_id == hook_id))


def _revive(connection: Connection, now: float, *where: Any) -> int:
    values = {
        "status": "pending",
        "tries": 0,
        "next_attempt": now,
        "changed": now,
        "reason": "to be tried again",
        "waiting_since": now,
    }
    return connection.execute(sa.update(deliveries).where(*where).values(**values)).rowcount


def _page(
    connection: Connection, account_id: str, hook_id: str | None, status: str, before: int | None, count: int
) -> list[StoredDelivery]:
    statuses = _WAITING if status == "pending" else (status,)
    query = sa.select(deliveries).where(_c.account_id == account_id, _c.status.in_(statuses))
    if hook_id is not None:
        query = query.where(_c.hook_id == hook_id)
    if before is not None:
        query = query.where(_c.sequence < before)
    rows = connection.execute(query.order_by(_c.sequence.desc()).limit(count))
    return [
        StoredDelivery(row.sequence, _delivery(row), row.status, row.next_attempt, row.changed, row.reason)
        for row in rows
    ]


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        hook_id=row.hook_id,
        account_id=row.account_id,
        event=row.event,
        event_id=row.event_id,
        payload=json.loads(row.payload),
        created=row.created,
        ordering_key=row.ordering,
        inline_hook=None if row.own_hook is None else json.loads(row.own_hook),
        attempts=row.tries,
    )
