"""Subscribing and unsubscribing: sessions on one side, the index and the broker on the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import Account, BindingRefused, CallChange, ICalls, IDirectory, Topic
from kazoo_bridge.interfaces import BindingUnavailable as BindingUnavailable
from kazoo_bridge.kazoo import MAX_SHORT_STRING_BYTES
from kazoo_bridge.websockets.client_messages import request_id_of
from kazoo_bridge.websockets.server.frames import EventFrame, event_content, event_prefix, reply
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.subscriptions.binding_catalogue import CALLS_BINDING, BindingCatalogue
from kazoo_bridge.websockets.subscriptions.fanout import EventFanout
from kazoo_bridge.websockets.subscriptions.subscription_index import Subscription

_log = Logger()

#: Seconds until a renewal is tried again that the broker has refused, or not answered.
RENEWAL_INTERVAL = 30.0

#: In the place of an account id: all of them.
ALL_ACCOUNTS = "*"


@define(eq=False)
class Subscriptions:
    """What sessions are subscribed to. At most `limit` subscriptions for each."""

    _clock: IReactorTime
    _directory: IDirectory
    catalogue: BindingCatalogue
    _fanout: EventFanout
    _limit: int
    _calls: ICalls | None = None
    #: When the next subscription must be asked for anew, in Unix seconds.
    _renew_at: float = field(init=False, default=float("inf"))

    async def subscribe(self, session: Session, account_id: str, bindings: Sequence[str]) -> None:
        """Subscribe to all of them, or to none. The session may have events of the account.

        Raises `BindingRefused`, and `BindingUnavailable` when the broker refuses one or does not answer about it in time.
        """
        account = None if account_id == ALL_ACCOUNTS else await self._directory.account(account_id)
        if account is None and account_id != ALL_ACCOUNTS:
            raise BindingRefused("unauthorized account id")
        added = {
            one.binding: one
            for one in self._resolve_all(session, account_id, account, bindings)
            if one is not None
        }
        wants_calls = CALLS_BINDING in bindings and account_id not in session.call_watches
        if session.count + len(added) + wants_calls > self._limit:
            raise BindingRefused(f"a socket can have at most {self._limit} subscriptions")
        if session.ended:
            return
        for binding, subscription in added.items():
            session.subscriptions[account_id, binding] = subscription
            self._fanout.index.add(session, subscription)
        watch = None
        if wants_calls and self._calls is not None:
            watch = session.call_watches[account_id] = self._calls.watch(
                account_id, partial(self._on_call_change, session, account_id)
            )
        # What others have asked for is waited for, too: the broker's answer about it may be outstanding.
        asked = {
            binding: session.subscriptions[account_id, binding]
            for binding in bindings
            if binding != CALLS_BINDING
        }
        refusals = _refusals(asked, await self._fanout.bind(_topics(asked.values())))
        if refusals:
            for subscription in added.values():
                self._remove(session, account_id, subscription)
            if watch is not None and session.call_watches.get(account_id) is watch:
                session.call_watches.pop(account_id).stop()
            raise BindingUnavailable(*refusals)

    def _remove(self, session: Session, account_id: str, subscription: Subscription) -> None:
        """End a subscription, if the session still has it."""
        identity = (account_id, subscription.binding)
        if session.subscriptions.get(identity) is subscription:
            del session.subscriptions[identity]
            self._fanout.unbind(self._fanout.index.remove(session, subscription))

    def _resolve_all(
        self, session: Session, account_id: str, account: Account | None, bindings: Iterable[str]
    ) -> list[Subscription | None]:
        refusals: list[str] = []
        resolved: list[Subscription | None] = []
        for binding in bindings:
            try:
                resolved.append(self._resolve(session, account_id, account, binding))
            except BindingRefused as error:
                refusals.append(str(error))
        if refusals:
            raise BindingRefused(*refusals)
        return resolved

    def _resolve(
        self, session: Session, account_id: str, account: Account | None, binding: str
    ) -> Subscription | None:
        """None for what needs no subscription with the broker, or is there already."""
        if binding == CALLS_BINDING:
            if account is None or self._calls is None:
                raise BindingRefused(
                    "event calls not supported" + (" for all accounts" if account is None else " here")
                )
            return None
        if (account_id, binding) in session.subscriptions:
            return None
        return self._subscription(session, account, binding)

    def _subscription(self, session: Session, account: Account | None, binding: str) -> Subscription:
        superadmin = session.account_id is not None and self._directory.is_superadmin(session.account_id)
        category, listening = self.catalogue.resolve(binding, account, superadmin, self._clock.seconds())
        if any(len(source.topic.pattern.encode()) > MAX_SHORT_STRING_BYTES for source in listening.filters):
            raise BindingRefused(
                f"the binding is too long: as a routing key it has more than {MAX_SHORT_STRING_BYTES} bytes"
            )
        self._renew_at = min(self._renew_at, listening.until or self._renew_at)
        return Subscription(binding, None if account is None else account.id, category, listening)

    def require_known(self, session: Session, bindings: Iterable[str]) -> None:
        """Raises `BindingRefused` for bindings to which nobody could be subscribed."""
        had = {binding for _, binding in session.subscriptions} | {CALLS_BINDING}
        for binding in bindings:
            if binding not in had:
                self.catalogue.resolve(binding, None, True, self._clock.seconds())

    def unsubscribe(
        self, session: Session, account_id: str | None, bindings: Iterable[str] | None
    ) -> list[str]:
        """End these subscriptions (None: all) for an account (None: any); the bindings that have ended."""
        wanted = None if bindings is None else set(bindings)
        ended = []
        for account, binding in list(session.subscriptions):
            if (wanted is None or binding in wanted) and account_id in (None, account):
                subscription = session.subscriptions.pop((account, binding))
                self._fanout.unbind(self._fanout.index.remove(session, subscription))
                ended.append(binding)
        for account in list(session.call_watches):
            if (wanted is None or CALLS_BINDING in wanted) and account_id in (None, account):
                session.call_watches.pop(account).stop()
                ended.append(CALLS_BINDING)
        return list(dict.fromkeys(ended))

    async def renew(self, sessions: Iterable[Session]) -> None:
        """Ask anew for subscriptions whose time is over, such as those to a database of the month that has ended."""
        now = self._clock.seconds()
        if now < self._renew_at:
            return
        self._renew_at = float("inf")
        renewals: list[Deferred[None]] = []
        for session in sessions:
            for (account_id, _), subscription in list(session.subscriptions.items()):
                until = subscription.plan.until
                if until is not None and until <= now:
                    renewals.append(Deferred.fromCoroutine(self._renew(session, account_id, subscription)))
                elif until is not None:
                    self._renew_at = min(self._renew_at, until)
        # All at once: a broker that does not answer holds this up no longer than one of them.
        for success, failure in await DeferredList(renewals, consumeErrors=True):
            if not success:
                _log.failure("a subscription could not be renewed", failure)

    async def _renew(self, session: Session, account_id: str, old: Subscription) -> None:
        account = None if account_id == ALL_ACCOUNTS else await self._directory.account(account_id)
        identity = (account_id, old.binding)
        if (account is None and account_id != ALL_ACCOUNTS) or session.subscriptions.get(identity) is not old:
            return  # the account has gone, and its subscriptions will: that is decided elsewhere
        idle = self._fanout.index.remove(session, old)
        try:
            new = self._subscription(session, account, old.binding)
        except BindingRefused as error:
            _log.warn("a subscription to {binding} ends: {reason}", binding=old.binding, reason=error)
            del session.subscriptions[identity]
            self._fanout.unbind(idle)
            return
        session.subscriptions[identity] = new
        self._fanout.index.add(session, new)
        refusals = _refusals({old.binding: new}, await self._fanout.bind(_topics([new])))
        if refusals and session.subscriptions.get(identity) is new:
            self._put_back(session, account_id, old, new, refusals)
        self._fanout.unbind(idle)

    def _put_back(
        self, session: Session, account_id: str, old: Subscription, new: Subscription, refusals: list[str]
    ) -> None:
        """Keep what the session had, tell the client, and renew it later."""
        _log.warn(
            "a subscription to {binding} is not renewed: {reason}", binding=old.binding, reason=refusals[0]
        )
        added = self._fanout.index.remove(session, new)
        session.subscriptions[account_id, old.binding] = old
        self._fanout.index.add(session, old)
        self._fanout.unbind(added)
        self._renew_at = min(self._renew_at, self._clock.seconds() + RENEWAL_INTERVAL)
        if session.output is not None:
            data = {
                "errors": refusals,
                "account_id": account_id,
                "unsubscribed": [],
                "subscribed": session.bindings,
            }
            session.output.reply(reply(request_id_of(None), "error", data))

    def _on_call_change(self, session: Session, account_id: str, change: CallChange) -> None:
        """Tell of live calls: a ``snapshot``, then what has ``changed`` and what was ``removed``; and that all that is ``stale``."""
        shown = f"{CALLS_BINDING}.{account_id}"
        data: dict[str, Any] = {"account_id": account_id}
        if change.kind == "removed":
            data["call_ids"] = list(change.call_ids)
        elif change.kind != "stale":
            data["calls"] = list(change.calls)
        content = event_content(change.kind, shown, data)
        session.deliver(
            EventFrame(
                CALLS_BINDING, event_prefix(CALLS_BINDING, shown), content, self._fanout.next_sequence()
            )
        )


def _topics(subscriptions: Iterable[Subscription]) -> list[Topic]:
    return list(dict.fromkeys(source.topic for one in subscriptions for source in one.plan.filters))


def _refusals(asked: Mapping[str, Subscription], problems: Mapping[Topic, str]) -> list[str]:
    """Why bindings are not available, in words for the client."""
    refusals = []
    for binding, subscription in asked.items():
        reason = next(
            (problems[source.topic] for source in subscription.plan.filters if source.topic in problems), None
        )
        if reason is not None:
            refusals.append(f"binding {binding} is not available: {reason}")
    return refusals
