"""What follows when an account moves: the accounts that were above it see and receive nothing more of it."""

from __future__ import annotations

from collections.abc import Iterable

from kazoo_bridge.interfaces import IDirectory


async def moved_away(
    directory: IDirectory, event_account_ids: Iterable[str | None], account_id: str
) -> frozenset[str]:
    """Return which accounts of events are neither `account_id` nor below it, although they exist.

    Their events reached hooks of `account_id`, so they were below it. What is unknown (None) or deleted
    counts as there still. Raises `StorageUnavailable`.
    """
    moved = set()
    for event_account_id in set(event_account_ids):
        if event_account_id is None or event_account_id == account_id:
            continue
        ancestors = directory.ancestors(event_account_id)
        if ancestors is None:
            await directory.account(event_account_id)
            ancestors = directory.ancestors(event_account_id)
        if ancestors is not None and account_id not in ancestors:
            moved.add(event_account_id)
    return frozenset(moved)
