"""Publishes notifications about hooks, and repeats them while the bus is unavailable."""

from __future__ import annotations

from collections import deque

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import BusUnavailable, IBus
from kazoo_bridge.webhooks.kazoo_messages import Message

_log = Logger()

#: Seconds after which notifications that the bus did not take are published again.
RETRY_INTERVAL = 10.0

#: Notifications that wait for the bus; beyond it the oldest are dropped.
MAX_WAITING = 1000


@define(eq=False)
class NotificationSender:
    """Publishes without delaying its caller.

    A notification whose confirmation was lost with a connection is published twice, with the same ``Msg-ID``.
    """

    _clock: IReactorTime
    _bus: IBus
    _waiting: deque[Message] = field(init=False, factory=deque)
    _timer: IDelayedCall | None = field(init=False, default=None)
    _stopped: bool = field(init=False, default=False)

    def send(self, message: Message) -> None:
        """Publish a notification, now or as soon as the bus is available."""
        published = self._bus.publish(*message)
        published.addErrback(self._on_unavailable, message)
        published.addErrback(lambda failure: _log.failure("publishing a notification failed", failure))

    def stop(self) -> None:
        """Publish nothing again."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            self._drop(self._waiting.popleft(), "the service stops")

    def _on_unavailable(self, failure: Failure, message: Message) -> None:
        failure.trap(BusUnavailable)
        if self._stopped:
            self._drop(message, str(failure.value))
            return
        self._waiting.append(message)
        if len(self._waiting) > MAX_WAITING:
            self._drop(self._waiting.popleft(), f"more than {MAX_WAITING} wait for the bus")
        if self._timer is None:
            _log.warn("notifications wait for the bus: {reason}", reason=failure.value)
            self._timer = self._clock.callLater(RETRY_INTERVAL, self._retry)

    def _retry(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, deque()
        for message in waiting:
            self.send(message)

    def _drop(self, message: Message, reason: str) -> None:
        _, _, body = message
        _log.warn(
            "notification {name} not sent hook_id={hook_id} account_id={account_id} reason={reason}",
            name=body["Event-Name"],
            hook_id=body["Hook-ID"],
            account_id=body["Account-ID"],
            reason=reason,
        )
