"""Deliveries, and the store in which they wait."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen
from zope.interface import Interface

from kazoo_bridge.static_frozen import statically_frozen

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


#: The time of the next attempt of a delivery that waits until its hook is enabled.
UNTIL_ENABLED: Final = math.inf


@statically_frozen
class Delivery:
    """One event that is sent to one hook.

    `id`: the same for every attempt, and for the same event if the broker delivers it again.

    `hook_id` and `account_id`: the hook and its account.

    `event`: the hook's type. `event_id`: the same for all deliveries of one event.

    `payload`: what the event says. Each attempt makes its request from the hook as it is at that time.

    `created`: when the delivery was made, in Unix seconds.

    `ordering_key`: deliveries to one hook with the same key are made one after another; empty: in any order.

    `inline_hook`: the hook's document, if the event contained it.

    `attempts`: the number of attempts so far.

    `replayed_at`: when a person has last asked for it again, in Unix seconds; None: never.
    `event_account_id`: the account that the event is about, the hook's own or one below it; None: unknown.
    """

    id: str
    hook_id: str
    account_id: str
    event: str
    event_id: str
    payload: Mapping[str, Any] = field(repr=False)
    created: float
    ordering_key: str = ""
    inline_hook: Mapping[str, Any] | None = field(default=None, repr=False)
    attempts: int = 0
    replayed_at: float | None = None
    event_account_id: str | None = None


@frozen
class StoredDelivery:
    """A delivery as it is listed.

    `position`: the place in the list; it grows with every delivery.

    `status`: ``pending``, ``held`` (its hook is disabled) or ``dead`` (it is given up).

    `next_attempt` and `changed_at`: times in Unix seconds.

    `reason`: why it has not been delivered.
    """

    position: int
    delivery: Delivery
    status: str
    next_attempt: float
    changed_at: float
    reason: str


@frozen
class DeliveryResults:
    """The results of claimed deliveries, by id. A delivery without a result keeps its lease until that ends.

    `delivered`: ids of deliveries that are done.

    `retry`: (id, attempts so far, time of the next attempt in Unix seconds, reason).

    `dead`: (id, attempts so far, reason).

    `released`: ids of deliveries that were not attempted and can be claimed again at once.
    """

    delivered: Sequence[str] = ()
    retry: Sequence[tuple[str, int, float, str]] = ()
    dead: Sequence[tuple[str, int, str]] = ()
    released: Sequence[str] = ()


class IDeliveryStore(Interface):
    """Stores deliveries that could not be made at once. All methods fail with `StorageUnavailable`."""

    def enqueue(waiting: Sequence[tuple[Delivery, float | None, str]]) -> Deferred[None]:
        """Store deliveries: (delivery, time of the next attempt in Unix seconds, reason why it was not made).

        None for the time: the delivery is dead; `UNTIL_ENABLED`: it is held until its hook is enabled. A
        delivery that is stored already does not change.
        """

    def due_hooks(now: float) -> Deferred[list[str]]:
        """List the ids of the hooks that have a pending delivery to claim. `now` is in Unix seconds."""

    def claim(owner: str, now: float, until: float, limits: Mapping[str, int]) -> Deferred[list[Delivery]]:
        """Lease due deliveries to `owner`, longest wait first.

        `limits` maps hook ids to the largest number of deliveries. `now` and `until`, the end of the lease,
        are in Unix seconds. Of deliveries to one hook with the same ordering key only the first is claimed.
        """

    def record_results(results: DeliveryResults, now: float) -> Deferred[None]:
        """Store the results of claimed deliveries. `now` is in Unix seconds."""

    def pause(hook_id: str) -> Deferred[int]:
        """Hold the hook's pending deliveries, because the hook is disabled; fire with their number."""

    def resume(hook_id: str, now: float) -> Deferred[int]:
        """Make the hook's held deliveries pending again, due at `now` (Unix seconds); fire with their number.

        They get every retry of the schedule again: what failed while the receiver was away says nothing about
        them.
        """

    def claim_held(
        hook_id: str, owner: str, now: float, until: float, skip: int
    ) -> Deferred[Delivery | None]:
        """Lease the oldest held delivery of a hook, to probe its receiver with it; None if there is none.

        `now` and `until`, the end of the lease, are in Unix seconds. `skip` older ones are passed over, if
        there are more than these. Of deliveries with the same ordering key only the first is claimed.
        """

    def drop_held(hook_id: str, made_before: float, now: float) -> Deferred[int]:
        """Delete held deliveries of a hook that were made, or last replayed, before a time.

        `made_before` and `now` are in Unix seconds. Their number, with which it fires, is bounded; 0: nothing
        is left.
        """

    def give_up(hook_id: str, now: float, reason: str) -> Deferred[int]:
        """Make the hook's waiting deliveries dead at `now` (Unix seconds); fire with their number."""

    def paused_hooks() -> Deferred[list[str]]:
        """List the ids of the hooks that have held deliveries."""

    def delete(hook_id: str) -> Deferred[int]:
        """Delete the deliveries of a hook that is not there, because it has been deleted.

        Those of a hook of another ``webhooks.source`` stay, held; fires with their number.
        """

    def waiting_counts(hook_ids: Collection[str]) -> Deferred[Mapping[str, int]]:
        """Count the pending and held deliveries of these hooks, by id; hooks without any are left out."""

    def dead_counts(hook_ids: Collection[str]) -> Deferred[Mapping[str, int]]:
        """Count the dead deliveries of these hooks, by id; hooks without any are left out."""

    def counts() -> Deferred[Mapping[str, int]]:
        """Count all deliveries by status: ``pending``, ``held`` and ``dead``."""

    def oldest_waiting() -> Deferred[Mapping[str, float]]:
        """Return since when the oldest delivery waits, in Unix seconds, by status: ``pending`` and ``held``.

        A status without deliveries is left out.
        """

    def page(
        account_id: str, hook_id: str | None, status: str, before: int | None, count: int
    ) -> Deferred[list[StoredDelivery]]:
        """List the deliveries of a status, newest first.

        `hook_id`: only those of this hook. `status`: ``pending`` includes paused deliveries. `before`: only
        those with a smaller position. `count`: the largest number of results; when these are large there may
        be fewer, but none only at the end.
        """

    def retry(account_id: str, hook_id: str, delivery_id: str, now: float) -> Deferred[bool]:
        """Make a dead or waiting delivery due at `now` (Unix seconds), with all its attempts before it.

        Fires with False if there is no such delivery.
        """

    def replay(
        account_id: str,
        hook_id: str | None,
        since: float,
        now: float,
        except_hooks: Collection[str] = (),
    ) -> Deferred[int]:
        """Make the deliveries due at `now` that have died since a time; fire with their number.

        `hook_id` None: those of all hooks of the account, but not of the stored hooks `except_hooks`. `since`
        and `now` are in Unix seconds.
        """


class IMissedEventStore(Interface):
    """Counts the events that did not reach a hook and are not kept.

    All methods fail with `StorageUnavailable`.
    """

    def add(missed: Mapping[tuple[str, str], int]) -> Deferred[None]:
        """Add to the counts: the keys of `missed` are (hook id, reason)."""

    def counts(hook_ids: Collection[str]) -> Deferred[Mapping[str, Mapping[str, int]]]:
        """Return the counts of these hooks by reason, by hook id; hooks that missed nothing are left out."""
