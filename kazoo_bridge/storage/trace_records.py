"""Finds the attempts and deliveries that have to do with an id: of a message, call, event or delivery."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from attrs import frozen
from sqlalchemy import Connection, Select, Table

from kazoo_bridge.interfaces import StoredAttempt, StoredDelivery
from kazoo_bridge.storage.delivery_rows import for_display
from kazoo_bridge.storage.engine import in_batches
from kazoo_bridge.storage.tables import attempts, deliveries

#: Attempts, and deliveries, in one answer.
MAX_RECORDS = 200

#: Ids of events that are searched as text in attempts: each is compared with each document.
MAX_SEARCHED_EVENTS = 20

#: The newest rows of a table in which an id is searched as text.
MAX_SEARCHED = 100_000

#: A shorter id is not searched as text: it is in most documents.
MIN_SEARCHED_LENGTH = 6


#: What is read of a row: what was sent (`replay`, `payload`) may have a megabyte, and is not shown.
_ATTEMPT_COLUMNS = tuple(column for column in attempts.c if column.name != "replay")
_DELIVERY_COLUMNS = (
    *(column for column in deliveries.c if column.name not in ("payload", "own_hook")),
    sa.literal_column("'{}'").label("payload"),
    sa.null().label("own_hook"),
)


@frozen
class TraceRecords:
    """What is stored about an id: attempts and deliveries without payloads, the oldest first."""

    attempts: list[StoredAttempt]
    deliveries: list[StoredDelivery]

    @property
    def event_ids(self) -> set[str]:
        """The ids of the events, without the numbers of their occurrences."""
        ids = {str(one.document.get("event_id")) for one in self.attempts}
        ids |= {one.delivery.event_id for one in self.deliveries}
        return {one.partition(".")[0] for one in ids}


def find_records(
    connection: Connection, text: str, event_ids: Collection[str], accounts: Collection[str] | None
) -> TraceRecords:
    """Return the newest records with one of these event ids, or that contain `text`, an id of any kind.

    `text` is searched in the newest `MAX_SEARCHED` attempts (what was sent, and the headers) and deliveries,
    the first `MAX_SEARCHED_EVENTS` ids of events in the attempts.
    `accounts`: only those of hooks of these accounts; None: of all.
    """
    searched = tuple(event_ids)[:MAX_SEARCHED_EVENTS]
    some_attempts = sa.select(*_ATTEMPT_COLUMNS)
    found_attempts = _find(
        connection, some_attempts, attempts, attempts.c.document, (), text, searched, accounts
    )
    own = (deliveries.c.id, deliveries.c.event_id)
    some_deliveries = sa.select(*_DELIVERY_COLUMNS)
    found_deliveries = _find(
        connection, some_deliveries, deliveries, deliveries.c.payload, own, text, event_ids, accounts
    )
    return TraceRecords(
        [
            StoredAttempt(
                row.sequence,
                row.made,
                {**json.loads(row.document), "account_id": row.account_id},
                event_account_id=row.event_account_id,
            )
            for row in found_attempts
        ],
        [
            StoredDelivery(
                row.sequence, for_display(row), row.status, row.next_attempt, row.changed, row.reason
            )
            for row in found_deliveries
        ],
    )


def _find(
    connection: Connection,
    rows: Select[Any],
    table: Table,
    column: sa.ColumnElement[str],
    own: Collection[sa.ColumnElement[str]],
    text: str,
    event_ids: Collection[str],
    accounts: Collection[str] | None,
) -> list[Any]:
    """Return the newest of `rows`, the oldest first, whose `column` contains an id, or one of `own` is it."""
    newest = sa.select(table.c.sequence).order_by(table.c.sequence.desc()).limit(1).offset(MAX_SEARCHED)
    conditions: list[sa.ColumnElement[bool]] = []
    for one in {text, *event_ids}:
        conditions += [
            part.startswith(one, autoescape=True) for part in own if len(one) >= MIN_SEARCHED_LENGTH
        ]
        if len(one) >= MIN_SEARCHED_LENGTH and (one == text or not own):
            # As it is written in the JSON of the column.
            conditions.append(column.contains(json.dumps(one)[1:-1], autoescape=True))
    if not conditions:
        return []
    query = rows.where(sa.or_(*conditions), table.c.sequence > sa.func.coalesce(newest.scalar_subquery(), 0))
    if accounts is not None:
        batches = in_batches(tuple(sorted(accounts)))
        query = query.where(sa.or_(sa.false(), *(table.c.account_id.in_(batch) for batch in batches)))
    query = query.order_by(table.c.sequence.desc()).limit(MAX_RECORDS)
    return list(reversed(connection.execute(query).all()))
