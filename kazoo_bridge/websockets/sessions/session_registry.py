"""All sessions of one node: how they begin and end, and what ends them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.websockets.client_messages import request_id_of
from kazoo_bridge.websockets.server.frames import reply
from kazoo_bridge.websockets.sessions.authorization import BAD_TOKEN, NOT_ALLOWED, Authorizer
from kazoo_bridge.websockets.sessions.replay_buffer import ReplayBuffer
from kazoo_bridge.websockets.sessions.session import Session, SessionOutput
from kazoo_bridge.websockets.sessions.token_bucket import TokenBucket
from kazoo_bridge.websockets.subscriptions.subscriptions import Subscriptions

_log = Logger()

#: Close codes; those from 4000 are ours, by the RFC's leave.
GOING_AWAY, OVERLOADED = 1001, 1013
UNAUTHENTICATED, CLOSED_BY_OPERATOR, AUTHENTICATION_TIMEOUT_CODE, RESUMED_ELSEWHERE, TOO_MANY = (
    4401,
    4403,
    4408,
    4409,
    4429,
)

#: Each second, one in so many sessions has its rights checked again.
_SWEEPS = 3


@frozen
class SessionLimits:
    """Bounds. Times are in seconds; 0 connections per account: no bound."""

    burst: int = 100
    per_second: float = 10.0
    per_account: int = 0
    authentication_timeout: float = 60.0
    idle_timeout: float = 3600.0
    resume_window: float = 120.0
    resume_events: int = 1000
    max_disconnected: int = 1000


class SessionRegistry(Service):
    """Keeps the sessions, and once a second looks for those whose time is over."""

    def __init__(
        self,
        clock: IReactorTime,
        host: str,
        limits: SessionLimits,
        authority: Authorizer,
        subscriptions: Subscriptions,
    ) -> None:
        self._clock = clock
        self._host = host
        self.limits = limits
        self._authority = authority
        self._subscriptions = subscriptions
        self._sessions: dict[str, Session] = {}
        self._resumable: dict[str, Session] = {}
        self._round = 0
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = clock
        self.ended: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def find(self, session_id: str) -> Session | None:
        """The session of that id."""
        return self._sessions.get(session_id)

    def open(self, host: str, port: int, outlet: SessionOutput) -> Session:
        """A new session for a connection from there."""
        now = self._clock.seconds()
        session_id = f"{host}:{port}"
        while session_id in self._sessions:
            session_id += "+"
        bucket = TokenBucket(self.limits.burst, self.limits.per_second)
        session = Session(session_id, host, self._host, now, bucket, outlet, now)
        self._sessions[session_id] = session
        return session

    def too_many_of(self, account_id: str) -> bool:
        """Whether an account has more connections than it may. Sessions that wait for their client have none."""
        limit = self.limits.per_account
        connected = (session for session in self._sessions.values() if session.output is not None)
        return bool(limit) and sum(session.account_id == account_id for session in connected) > limit

    # -- the end of a session

    def disconnected(self, session: Session, outlet: SessionOutput) -> None:
        """The connection is gone; so is the session, unless it can be resumed."""
        if session.output is not outlet:
            return
        session.output = None
        if session.replay_buffer is None or session.ended:
            self.end(session)
            return
        session.disconnected_at = self._clock.seconds()
        left = [one for one in self._resumable.values() if one.disconnected_at is not None]
        if len(left) > self.limits.max_disconnected:
            self.end(min(left, key=lambda one: one.disconnected_at or 0.0))

    def end(
        self, session: Session, code: int | None = None, reason: str = "", notice: str | None = None
    ) -> None:
        """End a session: say why (`notice`, in the form of a reply), close its connection, forget it."""
        if session.ended:
            return
        session.ended = True
        self._subscriptions.unsubscribe(session, None, None)
        self._sessions.pop(session.id, None)
        if session.replay_buffer is not None:
            self._resumable.pop(session.replay_buffer.token, None)
        outlet = session.output
        if outlet is None or code is None:
            return
        self.ended[code] += 1
        if notice is not None:
            outlet.reply(reply(request_id_of(None), "error", {"errors": [notice]}))
        outlet.close(code, reason)

    # -- resuming

    def keep(self, session: Session, interruptions: int) -> ReplayBuffer:
        """From now on the session outlives its connection."""
        if session.replay_buffer is None:
            session.replay_buffer = ReplayBuffer(self.limits.resume_events, interruptions)
            self._resumable[session.replay_buffer.token] = session
        return session.replay_buffer

    def resumable(self, token: str, account_id: str | None) -> Session | None:
        """The session of that name, if it is the account's."""
        session = self._resumable.get(token)
        return session if session is not None and session.account_id == account_id else None

    def take_over(self, old: Session, new: Session) -> None:
        """Let the connection of `new` go on where `old` was; only `old` is left, under the id of `new`."""
        if old.output is not None:
            old.output.close(RESUMED_ELSEWHERE, "resumed on another connection")
        del self._sessions[old.id]
        self._sessions[new.id] = old
        old.id, old.source, old.output, old.disconnected_at, old.bucket = (
            new.id,
            new.source,
            new.output,
            None,
            new.bucket,
        )
        old.token, old.principal, old.last_seen = new.token, new.principal, new.last_seen
        new.output = None
        new.ended = True

    # -- time

    def startService(self) -> None:
        """Begin to look after the sessions."""
        super().startService()
        self._sweeping.start(1.0, now=False).addErrback(
            lambda failure: _log.failure("the sweep has ended", failure)
        )

    def stopService(self) -> None:
        """Close every session, for the node goes away."""
        super().stopService()
        if self._sweeping.running:
            self._sweeping.stop()
        for session in self:
            self.end(session, GOING_AWAY, "the server is going away")

    def _sweep(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._sweep_once()).addErrback(_unexpected)

    async def _sweep_once(self) -> None:
        now = self._clock.seconds()
        self._round = (self._round + 1) % _SWEEPS
        await self._subscriptions.renew(self)
        for number, session in enumerate(self):
            if self._overdue(session, now) or number % _SWEEPS != self._round:
                continue
            await self._check(session)

    def _overdue(self, session: Session, now: float) -> bool:
        limits = self.limits
        if session.disconnected_at is not None:
            if now - session.disconnected_at > limits.resume_window:
                self.end(session)
        elif session.principal is None:
            if now - session.started > limits.authentication_timeout:
                self.end(
                    session,
                    AUTHENTICATION_TIMEOUT_CODE,
                    "not authenticated in time",
                    "authentication token required",
                )
        elif not session.count and now - session.last_seen > limits.idle_timeout:
            self.end(session, 1000, "idle")
        return session.ended

    async def _check(self, session: Session) -> None:
        """Take back what the session may no longer have."""
        if not await self._authority.still_valid(session):
            self.end(session, UNAUTHENTICATED, "the token is no longer valid", BAD_TOKEN)
            return
        for account_id in await self._authority.revoked_accounts(session):
            if account_id == session.account_id:
                self.end(session, UNAUTHENTICATED, "the account is no more", NOT_ALLOWED)
                return
            ended = self._subscriptions.unsubscribe(session, account_id, None)
            if session.output is not None:
                data = {
                    "errors": [NOT_ALLOWED],
                    "account_id": account_id,
                    "unsubscribed": ended,
                    "subscribed": session.bindings,
                }
                session.output.reply(reply(request_id_of(None), "error", data))


def _unexpected(failure: Failure) -> None:
    _log.failure("the sessions could not be looked after", failure)
