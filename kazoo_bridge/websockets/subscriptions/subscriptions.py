"""Subscribes and unsubscribes sessions: in the index, at the broker, and to live calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import (
    ALL_ACCOUNTS,
    Account,
    BindingRefused,
    BindingUnavailable,
    CallChange,
    ICalls,
    IDirectory,
)
from kazoo_bridge.kazoo import MAX_SHORT_STRING_BYTES
from kazoo_bridge.websockets.server.frames import EventFrame, encode_notice, event_content, event_prefix
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.subscriptions.binding_catalogue import CALLS_BINDING, BindingCatalogue
from kazoo_bridge.websockets.subscriptions.binding_verifier import BindingVerifier
from kazoo_bridge.websockets.subscriptions.fanout import EventFanout
from kazoo_bridge.websockets.subscriptions.release_queue import ReleaseQueue
from kazoo_bridge.websockets.subscriptions.subscription_budget import (
    WORK_PER_MESSAGE,
    WORK_PER_TOPIC,
    SubscriptionBudget,
)
from kazoo_bridge.websockets.subscriptions.subscription_index import Subscription, refusals, topics_of
from kazoo_bridge.websockets.subscriptions.work_pacer import WorkPacer

_log = Logger()

#: Bindings that are resolved, or added, in one turn.
BINDINGS_AT_ONCE = 50

#: Longest pattern of a category's own keys, which contain an account's id besides the routing key.
MAX_PATTERN_BYTES = MAX_SHORT_STRING_BYTES + 33

#: Seconds until a renewal that the broker has refused, or has not answered, is repeated.
RENEWAL_INTERVAL = 30.0


@define(eq=False)
class Subscriptions:
    """The subscriptions of sessions, at most `max_subscriptions` each, within the limits of their accounts.

    `calls` is None where live calls are not available.
    """

    _clock: IReactorTime
    _directory: IDirectory
    catalogue: BindingCatalogue
    _fanout: EventFanout
    _max_subscriptions: int
    _limits: SubscriptionBudget
    _calls: ICalls | None = None
    #: When the next subscription must be renewed, in Unix seconds.
    _renew_at: float = field(init=False, default=float("inf"))
    _verifier: BindingVerifier = field(init=False)
    _releases: ReleaseQueue = field(init=False)

    @_verifier.default
    def _new_verifier(self) -> BindingVerifier:
        return BindingVerifier(self._fanout, self._remove)

    _pacer: WorkPacer = field(init=False)

    @_pacer.default
    def _idle_pacer(self) -> WorkPacer:
        return WorkPacer(self._clock)

    @_releases.default
    def _empty_release_queue(self) -> ReleaseQueue:
        return ReleaseQueue(self._clock, self._remove)

    async def subscribe(self, session: Session, account_id: str, bindings: Sequence[str]) -> None:
        """Subscribe the session to all bindings, or to none, for an account (or `ALL_ACCOUNTS`).

        The session must be authorized for the account. Returns when the broker has bound the topics.

        Raises `BindingRefused` for what cannot be subscribed to, and `BindingUnavailable` when the broker
        refuses a binding or does not answer in time.
        """
        account = None if account_id == ALL_ACCOUNTS else await self._directory.account(account_id)
        if account is None and account_id != ALL_ACCOUNTS:
            raise BindingRefused("unauthorized account id")
        adds_calls = CALLS_BINDING in bindings and account_id not in session.call_watches
        unknown = [
            binding
            for binding in bindings
            if binding != CALLS_BINDING and (account_id, binding) not in session.subscriptions
        ]
        reserved = len(unknown) + adds_calls
        self._admit(session, reserved)
        try:
            added = await self._resolve_all(session, account, bindings, unknown)
            reserved -= await self._add_all(session, account_id, added)
            watch = None
            if adds_calls and self._calls is not None and not session.ended:
                watch = session.call_watches[account_id] = self._calls.watch(
                    account_id, partial(self._on_call_change, session, account_id)
                )
                reserved -= 1
        finally:
            self._limits.count(_payer(session), -reserved)
        # All, not only those added: the broker's answer to an earlier message may be outstanding.
        requested = [
            session.subscriptions[account_id, binding]
            for binding in bindings
            if (account_id, binding) in session.subscriptions
        ]
        problems = await self._fanout.bind(topics_of(requested), _payer(session))
        refused = refusals(requested, problems)
        if refused:
            for subscription in added.values():
                self._remove(session, account_id, subscription)
            if watch is not None and session.call_watches.get(account_id) is watch:
                self._stop_watch(session, account_id)
            raise BindingUnavailable(*refused)

    def _admit(self, session: Session, added: int) -> None:
        """Require that the session may have `added` more subscriptions; count them, and charge for them.

        Raises `BindingRefused`.
        """
        self._limits.require_pace(_payer(session))
        if session.subscription_count + added > self._max_subscriptions:
            raise BindingRefused(f"a socket can have at most {self._max_subscriptions} subscriptions")
        self._limits.require_room(_payer(session), added)
        self._limits.count(_payer(session), added)
        self._charge(session, added)

    async def _add_all(self, session: Session, account_id: str, added: Mapping[str, Subscription]) -> int:
        """Add subscriptions, unless the session ends meanwhile; returns how many were added."""
        new_topics = 0
        for number, (binding, subscription) in enumerate(added.items()):
            await self._take_turn(session, number, len(added))
            if session.ended:
                return number
            session.subscriptions[account_id, binding] = subscription
            new_topics += len(self._fanout.index.add(session, subscription))
        self._charge(session, new_topics * WORK_PER_TOPIC)
        return len(added)

    async def _take_turn(self, session: Session, number: int, total: int) -> None:
        """Wait for a turn before each `BINDINGS_AT_ONCE` bindings: thousands delay no other client."""
        if not number % BINDINGS_AT_ONCE:
            await self._pacer.take(_payer(session), min(BINDINGS_AT_ONCE, total - number))

    def _charge(self, session: Session, units: int) -> None:
        """Charge the account for units of work, and the session for what exceeds one message."""
        self._limits.charge(_payer(session), units)
        session.bucket.charge(max(0.0, units / WORK_PER_MESSAGE - 1), self._clock.seconds())

    def _remove(self, session: Session, account_id: str, subscription: Subscription) -> None:
        """Remove a subscription, if the session still has it."""
        identity = (account_id, subscription.binding)
        if session.subscriptions.get(identity) is subscription:
            del session.subscriptions[identity]
            self._limits.count(_payer(session), -1)
            self._fanout.unbind(self._fanout.index.remove(session, subscription), _payer(session))

    def _stop_watch(self, session: Session, account_id: str) -> None:
        session.call_watches.pop(account_id).stop()
        self._limits.count(_payer(session), -1)

    async def _resolve_all(
        self, session: Session, account: Account | None, bindings: Sequence[str], unknown: Sequence[str]
    ) -> dict[str, Subscription]:
        """Resolve the bindings that the session does not have; raises `BindingRefused` with every refusal."""
        refused: list[str] = []
        resolved: dict[str, Subscription] = {}
        if CALLS_BINDING in bindings:
            try:
                self._require_calls(account)
            except BindingRefused as error:
                refused.append(str(error))
        for number, binding in enumerate(unknown):
            await self._take_turn(session, number, len(unknown))
            if session.ended:
                break
            try:
                resolved[binding] = self._resolve(session, account, binding)
            except BindingRefused as error:
                refused.append(str(error))
        if refused:
            raise BindingRefused(*refused)
        return resolved

    def _require_calls(self, account: Account | None) -> None:
        if account is None:
            raise BindingRefused("event calls not supported for all accounts")
        if self._calls is None:
            raise BindingRefused("event calls not supported here")

    def _resolve(self, session: Session, account: Account | None, binding: str) -> Subscription:
        superadmin = session.account_id is not None and self._directory.is_superadmin(session.account_id)
        category, plan = self.catalogue.resolve(binding, account, superadmin, self._clock.seconds())
        if any(
            len(topic_filter.topic.pattern.encode()) > MAX_SHORT_STRING_BYTES
            or len(topic_filter.pattern.encode()) > MAX_PATTERN_BYTES
            for topic_filter in plan.filters
        ):
            raise BindingRefused(
                f"the binding is too long: as a routing key it has more than {MAX_SHORT_STRING_BYTES} bytes"
            )
        self._renew_at = min(self._renew_at, plan.until or self._renew_at)
        return Subscription(binding, None if account is None else account.id, category, plan)

    async def request_unsubscribe(
        self, session: Session, account_id: str | None, bindings: Sequence[str]
    ) -> list[str]:
        """Unsubscribe for a client, which may name bindings that the session does not have; takes turns.

        `account_id` None is every account, no `bindings` are all. Returns `bindings`, or all that have ended
        without any, each once and as clients see it. Raises `BindingRefused` for bindings that cannot be
        subscribed to.
        """
        self._limits.require_pace(_payer(session))
        if len(bindings) > self._max_subscriptions:
            raise BindingRefused(f"a message can have at most {self._max_subscriptions} bindings")
        self._charge(session, len(bindings) or session.subscription_count)
        shown = {binding: one.shown for (_, binding), one in session.subscriptions.items()}
        shown[CALLS_BINDING] = CALLS_BINDING
        unknown = [binding for binding in dict.fromkeys(bindings) if binding not in shown]
        for number, binding in enumerate(unknown):
            await self._take_turn(session, number, len(unknown))
            plan = self.catalogue.resolve(binding, None, True, self._clock.seconds())[1]
            shown[binding] = plan.shown or binding
        requested = list(dict.fromkeys(shown[binding] for binding in bindings))
        if session.subscription_count <= BINDINGS_AT_ONCE:
            ended = self.unsubscribe(session, account_id, requested or None)
            return requested or ended
        selected = set(requested or shown.values())
        # The latest first, as in `unsubscribe`.
        ending = [
            (account, one)
            for (account, _), one in reversed(session.subscriptions.items())
            if one.shown in selected and account_id in (None, account)
        ]
        for number, (account, subscription) in enumerate(ending):
            await self._take_turn(session, number, len(ending))
            self._remove(session, account, subscription)
        ended = [subscription.shown for _, subscription in reversed(ending)]
        watches = self.unsubscribe(session, account_id, [CALLS_BINDING] if CALLS_BINDING in selected else [])
        return requested or list(dict.fromkeys(ended + watches))

    def unsubscribe(
        self, session: Session, account_id: str | None, bindings: Iterable[str] | None
    ) -> list[str]:
        """Unsubscribe the session from `bindings` (None: all) for `account_id` (None: every account).

        `bindings` are as clients see them, and so is the result: the bindings that have ended, each once.
        """
        selected = None if bindings is None else set(bindings)
        ended = []
        # The latest first, because the earliest spelling of a binding receives its events.
        for (account, _), one in reversed(list(session.subscriptions.items())):
            if (selected is None or one.shown in selected) and account_id in (None, account):
                self._remove(session, account, one)
                ended.append(one.shown)
        ended.reverse()
        for account in list(session.call_watches):
            if (selected is None or CALLS_BINDING in selected) and account_id in (None, account):
                self._stop_watch(session, account)
                ended.append(CALLS_BINDING)
        return list(dict.fromkeys(ended))

    def release(self, session: Session) -> None:
        """End the subscriptions of a session that has ended; when there are thousands, in a while."""
        for account_id in list(session.call_watches):
            self._stop_watch(session, account_id)
        subscriptions = [(account_id, one) for (account_id, _), one in session.subscriptions.items()]
        self._releases.add(session, reversed(subscriptions))

    def stop(self) -> None:
        """End at once the subscriptions of all sessions that have ended, and let nothing wait any more."""
        self._releases.finish()
        self._pacer.finish()

    # -- renewal

    async def renew(self, sessions: Iterable[Session]) -> None:
        """Resolve expired subscriptions again, such as those to the documents of a month that has ended."""
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
        # Concurrently: a broker that does not answer delays all of them by one time-out.
        for success, failure in await DeferredList(renewals, consumeErrors=True):
            if not success:
                _log.failure("renewing a subscription failed", failure)

    async def _renew(self, session: Session, account_id: str, old: Subscription) -> None:
        account = None if account_id == ALL_ACCOUNTS else await self._directory.account(account_id)
        identity = (account_id, old.binding)
        if (account is None and account_id != ALL_ACCOUNTS) or session.subscriptions.get(identity) is not old:
            return  # SessionRegistry ends the subscriptions of an account that is gone
        unused_topics = self._fanout.index.remove(session, old)
        try:
            new = self._resolve(session, account, old.binding)
        except BindingRefused as error:
            _log.warn(
                "subscription ended binding={binding} reason={reason}", binding=old.binding, reason=error
            )
            del session.subscriptions[identity]
            self._limits.count(_payer(session), -1)
            self._fanout.unbind(unused_topics, _payer(session))
            return
        session.subscriptions[identity] = new
        self._fanout.index.add(session, new)
        refused = refusals([new], await self._fanout.bind(new.topics, _payer(session)))
        if refused and session.subscriptions.get(identity) is new:
            self._restore(session, account_id, old, new, refused)
        self._fanout.unbind(unused_topics, _payer(session))

    def _restore(
        self, session: Session, account_id: str, old: Subscription, new: Subscription, refused: list[str]
    ) -> None:
        """Restore a subscription that could not be renewed, inform the client, and renew it later."""
        _log.warn("renewal refused binding={binding} reason={reason}", binding=old.binding, reason=refused[0])
        added_topics = self._fanout.index.remove(session, new)
        session.subscriptions[account_id, old.binding] = old
        self._fanout.index.add(session, old)
        self._fanout.unbind(added_topics, _payer(session))
        self._renew_at = min(self._renew_at, self._clock.seconds() + RENEWAL_INTERVAL)
        if session.output is not None:
            notice = encode_notice(
                refused, account_id=account_id, unsubscribed=[], subscribed=session.bindings
            )
            session.output.reply(notice)

    def start_verifying(self, sessions: Iterable[Session]) -> None:
        """After the broker was away, end the subscriptions that it refuses, and inform their clients."""
        self._verifier.start(sessions)

    # -- live calls

    def _on_call_change(self, session: Session, account_id: str, change: CallChange) -> None:
        """Send a change of live calls as an event, named by the kind of the `CallChange`."""
        key = f"{CALLS_BINDING}.{account_id}"
        data: dict[str, Any] = {"account_id": account_id}
        if change.kind == "removed":
            data["call_ids"] = list(change.call_ids)
        elif change.kind != "stale":
            data["calls"] = list(change.calls)
        content = event_content(change.kind, key, data)
        prefix = event_prefix(CALLS_BINDING, key)
        frame = EventFrame(CALLS_BINDING, prefix, content, self._fanout.next_sequence())
        session.deliver(frame)
        frame.forget_encodings()


def _payer(session: Session) -> str:
    """Return the account that answers for the session's subscriptions, that of its token."""
    return session.account_id or ""
