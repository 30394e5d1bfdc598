"""Subscribing and unsubscribing: sessions on one side, the index and the broker on the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import Account, BindingRefused, CallChange, ICalls, IDirectory
from kazoo_bridge.websockets.catalogue import CALLS, BindingCatalogue
from kazoo_bridge.websockets.frames import EventFrame, event_content, event_prefix
from kazoo_bridge.websockets.index import Subscription
from kazoo_bridge.websockets.listener import Listener
from kazoo_bridge.websockets.session import Session

_log = Logger()

#: AMQP's own limit, in bytes.
LONGEST_PATTERN = 255

#: In the place of an account id: all of them.
EVERY = "*"


@define(eq=False)
class Subscriptions:
    """What sessions are subscribed to. At most `limit` subscriptions for each."""

    _clock: IReactorTime
    _directory: IDirectory
    catalogue: BindingCatalogue
    _listener: Listener
    _limit: int
    _calls: ICalls | None = None
    #: When the next subscription must be asked for anew, in Unix seconds.
    _until: float = field(init=False, default=float("inf"))

    async def subscribe(self, session: Session, account_id: str, bindings: Sequence[str]) -> None:
        """Subscribe to all of them, or to none: raises `BindingRefused`. The session may have events of the account."""
        account = None if account_id == EVERY else await self._directory.account(account_id)
        if account is None and account_id != EVERY:
            raise BindingRefused("unauthorized account id")
        added = {one.binding: one for one in self._resolved(session, account_id, account, bindings) if one is not None}
        wants_calls = CALLS in bindings and account_id not in session.calls
        if session.count + len(added) + wants_calls > self._limit:
            raise BindingRefused(f"a socket can have at most {self._limit} subscriptions")
        if session.ended:
            return
        fresh = []
        for binding, subscription in added.items():
            session.subscriptions[account_id, binding] = subscription
            fresh.extend(self._listener.index.add(session, subscription))
        if wants_calls and self._calls is not None:
            session.calls[account_id] = self._calls.watch(account_id, partial(self._call_change, session, account_id))
        await self._listener.bind(fresh)

    def _resolved(self, session: Session, account_id: str, account: Account | None, bindings: Iterable[str]) -> list[Subscription | None]:
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

    def _resolve(self, session: Session, account_id: str, account: Account | None, binding: str) -> Subscription | None:
        """None for what needs no subscription with the broker, or is there already."""
        if binding == CALLS:
            if account is None or self._calls is None:
                raise BindingRefused("event calls not supported" + (" for all accounts" if account is None else " here"))
            return None
        if (account_id, binding) in session.subscriptions:
            return None
        return self._subscription(session, account, binding)

    def _subscription(self, session: Session, account: Account | None, binding: str) -> Subscription:
        superadmin = session.account_id is not None and self._directory.superadmin(session.account_id)
        category, listening = self.catalogue.resolve(binding, account, superadmin, self._clock.seconds())
        if any(len(source.topic.pattern.encode()) > LONGEST_PATTERN for source in listening.sources):
            raise BindingRefused(f"the binding is too long: as a routing key it has more than {LONGEST_PATTERN} bytes")
        self._until = min(self._until, listening.until or self._until)
        return Subscription(binding, None if account is None else account.id, category, listening)

    def require_known(self, session: Session, bindings: Iterable[str]) -> None:
        """Raises `BindingRefused` for bindings to which nobody could be subscribed."""
        had = {binding for _, binding in session.subscriptions} | {CALLS}
        for binding in bindings:
            if binding not in had:
                self.catalogue.resolve(binding, None, True, self._clock.seconds())

    def unsubscribe(self, session: Session, account_id: str | None, bindings: Iterable[str] | None) -> list[str]:
        """End these subscriptions (None: all) for an account (None: any); the bindings that have ended."""
        wanted = None if bindings is None else set(bindings)
        ended = []
        for account, binding in list(session.subscriptions):
            if (wanted is None or binding in wanted) and account_id in (None, account):
                subscription = session.subscriptions.pop((account, binding))
                self._listener.unbind(self._listener.index.remove(session, subscription))
                ended.append(binding)
        for account in list(session.calls):
            if (wanted is None or CALLS in wanted) and account_id in (None, account):
                session.calls.pop(account).stop()
                ended.append(CALLS)
        return list(dict.fromkeys(ended))

    async def renew(self, sessions: Iterable[Session]) -> None:
        """Ask anew for subscriptions whose time is over, such as those to a database of the month that has ended."""
        now = self._clock.seconds()
        if now < self._until:
            return
        self._until = float("inf")
        for session in sessions:
            for (account_id, _), subscription in list(session.subscriptions.items()):
                until = subscription.listening.until
                if until is not None and until <= now:
                    await self._renew(session, account_id, subscription)
                elif until is not None:
                    self._until = min(self._until, until)

    async def _renew(self, session: Session, account_id: str, old: Subscription) -> None:
        account = None if account_id == EVERY else await self._directory.account(account_id)
        identity = (account_id, old.binding)
        if (account is None and account_id != EVERY) or session.subscriptions.get(identity) is not old:
            return  # the account has gone, and its subscriptions will: that is decided elsewhere
        idle = self._listener.index.remove(session, old)
        fresh = []
        try:
            new = session.subscriptions[identity] = self._subscription(session, account, old.binding)
            fresh = self._listener.index.add(session, new)
        except BindingRefused as error:
            _log.warn("a subscription to {binding} ends: {reason}", binding=old.binding, reason=error)
            del session.subscriptions[identity]
        await self._listener.bind(fresh)
        self._listener.unbind(idle)

    def _call_change(self, session: Session, account_id: str, change: CallChange) -> None:
        """Tell of live calls: a ``snapshot``, then what has ``changed`` and what was ``removed``; and that all that is ``stale``."""
        shown = f"{CALLS}.{account_id}"
        data: dict[str, Any] = {"account_id": account_id}
        if change.kind == "removed":
            data["call_ids"] = list(change.call_ids)
        elif change.kind != "stale":
            data["calls"] = list(change.calls)
        content = event_content(change.kind, shown, data)
        session.deliver(EventFrame(CALLS, event_prefix(CALLS, shown), content, self._listener.next_sequence()))
