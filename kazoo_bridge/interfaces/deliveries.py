"""Deliveries that wait in the storage."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from zope.interface import Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


@frozen
class Delivery:
    """One event on its way to one hook.

    `id` is the same for every attempt, and for the same event handed out again. `account_id` is the hook's. `event` is the hook's type and
    `payload` what the event says; the hook as it is at the time of an attempt makes a request of them. `own_hook` is the hook's document
    where the event brought it along. Deliveries to one hook with the same `ordering` are made one after another; empty: in any order.
    `tries` counts the attempts so far; `created` is in Unix seconds.
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


@frozen
class StoredDelivery:
    """A delivery as it is listed. `status` is ``pending``, ``held`` (its hook is disabled) or ``dead``."""

    position: int
    delivery: Delivery
    status: str
    next_attempt: float
    changed_at: float
    reason: str


@frozen
class DeliveryResults:
    """What became of claimed deliveries, by id. Those in no collection keep their lease until it runs out.

    `again`: (id, tries, next attempt in Unix seconds, reason). `dead`: (id, tries, reason). `back`: ids given back untried.
    """

    delivered: Sequence[str] = ()
    retry: Sequence[tuple[str, int, float, str]] = ()
    dead: Sequence[tuple[str, int, str]] = ()
    released: Sequence[str] = ()


class IDeliveryStore(Interface):
    """Deliveries that could not be made at once."""

    def enqueue(waiting: Sequence[tuple[Delivery, float | None, str]]) -> Deferred[None]:
        """Keep deliveries, each with the time of its next attempt (None: it is dead) and the reason why it was not made.

        One that is kept already stays as it is.
        """

    def due_hooks(now: float) -> Deferred[list[str]]:
        """The ids of all hooks for which a pending delivery can be claimed."""

    def claim(owner: str, now: float, until: float, room: Mapping[str, int]) -> Deferred[list[Delivery]]:
        """Lease due deliveries to `owner` until a time: for each hook id at most so many, those that waited longest first.

        Of deliveries with the same ordering only the first is claimed.
        """

    def record_results(settlement: DeliveryResults, now: float) -> Deferred[None]:
        """Take note of what became of claimed deliveries."""

    def pause(hook_id: str) -> Deferred[None]:
        """Let the hook's deliveries wait, for it is disabled."""

    def resume(hook_id: str, now: float) -> Deferred[None]:
        """Let the hook's held deliveries go out."""

    def paused_hooks() -> Deferred[list[str]]:
        """The ids of all hooks with held deliveries."""

    def delete(hook_id: str) -> Deferred[None]:
        """The hook is no more: delete its deliveries."""

    def waiting_counts(hook_ids: Collection[str]) -> Deferred[Mapping[str, int]]:
        """How many deliveries of each of these hooks are pending or held; a hook without any is not in it."""

    def counts() -> Deferred[Mapping[str, int]]:
        """How many deliveries there are of each status: ``pending``, ``held`` and ``dead``."""

    def page(
        account_id: str, hook_id: str | None, status: str, before: int | None, count: int
    ) -> Deferred[list[StoredDelivery]]:
        """At most `count` deliveries of a status (``pending`` includes those held), newest first, from below the position `before`."""

    def retry(account_id: str, hook_id: str, delivery_id: str, now: float) -> Deferred[bool]:
        """Make a dead or waiting delivery due at once, with all its attempts before it; whether there is such a delivery."""

    def replay(account_id: str, hook_id: str | None, since: float, now: float) -> Deferred[int]:
        """Make everything of the hook (None: of the account) that has died since a time due at once; how many."""
