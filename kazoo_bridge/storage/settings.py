"""What all nodes on one storage have in common."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from kazoo_bridge.storage import change_log
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.tables import settings


class SettingStore:
    """Values by name. Every Deferred may fail with `StorageUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get_or_create(self, name: str, make: Callable[[], str]) -> Deferred[str]:
        """The value of `name`; the first node to ask settles it with what `make` returns."""
        return self._database.write(lambda connection: get_or_create(connection, name, make))


def get_or_create(connection: Connection, name: str, make: Callable[[], str]) -> str:
    """The value of `name`, made if there is none yet."""
    change_log.lock_change_log(connection)
    known = connection.scalar(sa.select(settings.c.value).where(settings.c.name == name))
    if known is not None:
        return str(known)
    made = make()
    connection.execute(sa.insert(settings).values(name=name, value=made))
    return made
