"""After the broker was away, ends the subscriptions that it refuses, and informs their clients.

Clients that subscribed meanwhile have received a success.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from kazoo_bridge.interfaces import Topic
from kazoo_bridge.websockets.server.frames import encode_notice
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.subscriptions.fanout import REFUSED, UNANSWERED, EventFanout
from kazoo_bridge.websockets.subscriptions.subscription_index import Subscription, refusals

_log = Logger()


@define(eq=False)
class BindingVerifier:
    """Calls `remove` with a session, the account of a refused subscription, and the subscription."""

    _fanout: EventFanout
    _remove: Callable[[Session, str, Subscription], None]
    #: `EventFanout.interruptions` when the broker was last asked about all topics.
    _verified: int = field(init=False, default=0)
    _verifying: bool = field(init=False, default=False)

    def start(self, sessions: Iterable[Session]) -> None:
        """Ask the broker about all topics, unless it was not away since it was asked, or is being asked."""
        if self._fanout.interruptions != self._verified and not self._verifying:
            self._verifying = True
            Deferred.fromCoroutine(self._verify(sessions)).addErrback(
                lambda failure: _log.failure("verifying the subscriptions failed", failure)
            )

    async def _verify(self, sessions: Iterable[Session]) -> None:
        interruptions = self._fanout.interruptions
        try:
            problems = await self._fanout.bind(list(self._fanout.index.topics))
        finally:
            self._verifying = False
        if UNANSWERED not in problems.values():
            self._verified = interruptions
        refused = {topic: text for topic, text in problems.items() if text == REFUSED}
        if refused:
            for session in sessions:
                self._end_refused(session, refused)

    def _end_refused(self, session: Session, refused: Mapping[Topic, str]) -> None:
        ended: dict[str, list[Subscription]] = {}
        for (account_id, _), subscription in session.subscriptions.items():
            if not refused.keys().isdisjoint(subscription.topics):
                ended.setdefault(account_id, []).append(subscription)
        for account_id, subscriptions in ended.items():
            # The latest first, because the earliest spelling of a binding receives its events.
            for subscription in reversed(subscriptions):
                self._remove(session, account_id, subscription)
            if session.output is not None:
                notice = encode_notice(
                    refusals(subscriptions, refused),
                    account_id=account_id,
                    unsubscribed=[subscription.shown for subscription in subscriptions],
                    subscribed=session.bindings,
                )
                session.output.reply(notice)
