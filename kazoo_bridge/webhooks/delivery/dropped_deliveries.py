"""Drops deliveries that are no longer wanted, and counts their events as missed, by reason."""

from __future__ import annotations

from attrs import define
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.account_moves import moved_away
from kazoo_bridge.interfaces import Delivery, IDirectory, StorageUnavailable
from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.kazoo import from_gregorian
from kazoo_bridge.webhooks.delivery.missed_events import ACCOUNT_MOVED, TOO_OLD, MissedEvents
from kazoo_bridge.webhooks.hooks.hook import Hook

_log = Logger()


#: Seconds between an event and its delivery, at most; an event's own time is not plausible beyond.
_MAX_TRANSPORT_TIME = 30 * 86_400.0


@define(eq=False)
class DroppedDeliveries:
    """Decides which deliveries are dropped. A dropped delivery is done: its hook has missed the event."""

    _clock: IReactorTime
    _missed: MissedEvents
    _directory: IDirectory

    async def drop_if_unwanted(self, hook: Hook, delivery: Delivery) -> bool:
        """Drop a stored delivery that has become unwanted while it waited; return whether it was dropped.

        It is dropped if its event is too old, or if the event's account is no longer below that of the hook.
        """
        if self.drop_if_too_old(hook, delivery):
            return True
        try:
            moved = await moved_away(self._directory, [delivery.event_account_id], delivery.account_id)
        except StorageUnavailable:
            return False
        if moved:
            self.drop(hook, delivery, ACCOUNT_MOVED)
        return bool(moved)

    def drop_if_too_old(self, hook: Hook, delivery: Delivery) -> bool:
        """Drop the delivery if its event is older than the hook permits; return whether it was dropped."""
        max_age = hook.options.max_age
        if max_age is None or self._clock.seconds() - event_time(delivery) <= max_age:
            return False
        self.drop(hook, delivery, TOO_OLD)
        return True

    def count_too_old(self, hook: Hook, number: int) -> None:
        """Count deliveries that the store has dropped because of their age."""
        self._missed.count(hook, TOO_OLD, number)

    def drop(self, hook: Hook, delivery: Delivery, reason: str) -> None:
        """Count the event of a dropped delivery as missed, for one of the reasons of `missed_events`."""
        self._missed.count(hook, reason)
        _log.debug(
            "delivery dropped hook_id={hook_id} account_id={account_id} delivery_id={delivery_id} "
            "event_id={event_id} reason={reason}",
            hook_id=hook.id,
            account_id=hook.account_id,
            delivery_id=delivery.id,
            event_id=delivery.event_id,
            reason=reason,
        )


def event_time(delivery: Delivery) -> float:
    """Return when the event of a delivery happened, in Unix seconds.

    A replay is the latest wish of a person and counts as a new event. Else it is the payload's ``timestamp``
    (Gregorian seconds) if that is plausible, because the broker may have kept the event for long; without it,
    the time when the delivery was made.
    """
    if delivery.replayed_at is not None:
        return delivery.replayed_at
    timestamp = to_integer(delivery.payload.get("timestamp"), accept_text=True)
    if timestamp is not None:
        happened = float(from_gregorian(timestamp))
        if delivery.created - _MAX_TRANSPORT_TIME <= happened <= delivery.created:
            return happened
    return delivery.created
