"""All sessions of one node: opens, finds, resumes and ends them, and checks them periodically."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count, cycle

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.config import Websockets
from kazoo_bridge.token_bucket import TokenBucket
from kazoo_bridge.websockets.server.frames import CloseCode, encode_notice
from kazoo_bridge.websockets.sessions.authorization import (
    BAD_TOKEN,
    NO_TOKEN,
    NOT_ALLOWED,
    Authorizer,
    RightsCheck,
)
from kazoo_bridge.websockets.sessions.replay_buffer import ReplayBuffer, ReplayMemory
from kazoo_bridge.websockets.sessions.rights_sweep import RightsSweep
from kazoo_bridge.websockets.sessions.session import Session, SessionOutput
from kazoo_bridge.websockets.sessions.waiting_sessions import WaitingSessions
from kazoo_bridge.websockets.subscriptions.subscriptions import Subscriptions

_log = Logger()

#: Seconds between two sweeps over all sessions.
SWEEP_INTERVAL = 1.0

#: A sweep checks the rights of one in so many sessions, so that each is checked every three seconds even if
#: nothing says that they have changed.
SWEEPS_PER_CHECK = 3

#: Resumable sessions without a connection that a node keeps.
MAX_DISCONNECTED_SESSIONS = 10_000


@frozen
class SessionLimits:
    """Limits of sessions; times are in seconds.

    `burst` and `refill_interval`: see `TokenBucket`. `per_account`: connections of one account, and resumable
    sessions of it that wait for their clients (0: no limit). `resume_window` and `resume_events`: how long a
    resumable session outlives its connection, and how many events it keeps. `resume_bytes_per_account` and
    `resume_bytes`: see `ReplayMemory`.
    """

    burst: int
    refill_interval: float
    per_account: int
    authentication_timeout: float
    idle_timeout: float
    resume_window: float
    resume_events: int
    resume_bytes_per_account: int
    resume_bytes: int
    max_disconnected: int = MAX_DISCONNECTED_SESSIONS

    @classmethod
    def from_config(cls, config: Websockets) -> SessionLimits:
        """Take the limits from the configuration."""
        return cls(
            burst=config.rate_burst,
            refill_interval=1 / config.rate_per_second,
            per_account=config.max_connections_per_account,
            authentication_timeout=config.authentication_timeout_s,
            idle_timeout=config.idle_timeout_s,
            resume_window=config.resume_window_s,
            resume_events=config.resume_events,
            resume_bytes_per_account=config.resume_bytes_per_account,
            resume_bytes=config.resume_bytes,
        )


class SessionRegistry(Service):
    """Holds the sessions, which iteration returns, and ends those whose time or rights are over.

    `host` names this node in the list of sockets. `closed_by_code` counts the connections that the node has
    closed.
    """

    def __init__(
        self,
        clock: IReactorTime,
        host: str,
        limits: SessionLimits,
        authorizer: Authorizer,
        subscriptions: Subscriptions,
    ) -> None:
        self._clock = clock
        self._host = host
        self.limits = limits
        self._authorizer = authorizer
        self._subscriptions = subscriptions
        self._sessions: dict[str, Session] = {}
        self._resumable: dict[str, Session] = {}
        self._waiting = WaitingSessions()
        self.replay_memory = ReplayMemory(limits.resume_bytes_per_account, limits.resume_bytes)
        #: Connected sessions by account.
        self.connected: Counter[str] = Counter()
        self._duplicates = count(1)
        self._check_groups = cycle(range(SWEEPS_PER_CHECK))
        self._sweep_number = 0
        self._rights = RightsSweep(clock, authorizer.begin_check, self._check_session)
        self._sweep_loop = LoopingCall(lambda: Deferred.fromCoroutine(self._sweep()).addErrback(_log_failure))
        self._sweep_loop.clock = clock
        self.closed_by_code: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def find(self, session_id: str) -> Session | None:
        """Return the session with that id; None if there is none."""
        return self._sessions.get(session_id)

    def open(self, host: str, port: int) -> Session:
        """Open a session, without a connection yet, for a client at `host` and `port`."""
        now = self._clock.seconds()
        session_id = f"{host}:{port}"
        if session_id in self._sessions:  # all clients of a Unix socket, for example
            session_id += f"+{next(self._duplicates)}"
        bucket = TokenBucket(self.limits.burst, self.limits.refill_interval)
        session = Session(
            session_id, host, self._host, started=now, bucket=bucket, last_seen=now, connected=self.connected
        )
        # Not the place in the list: that changes with every session that ends, and checks would be missed.
        session.check_group = next(self._check_groups)
        self._sessions[session_id] = session
        return session

    def exceeds_account_limit(self, account_id: str) -> bool:
        """Return whether the account has more connected sessions than permitted."""
        return bool(self.limits.per_account) and self.connected[account_id] > self.limits.per_account

    # -- the end of a session

    def disconnected(self, session: Session, output: SessionOutput) -> None:
        """Handle the loss of the connection `output`: ends the session, unless it can be resumed.

        Does nothing if the session has another connection by now.
        """
        if session.output is not output:
            return
        session.disconnect()
        if session.replay_buffer is None or session.ended:
            self.end(session)
            return
        session.disconnected_at = self._clock.seconds()
        waiting, limits = self._waiting, self.limits
        waiting.add(session)
        if limits.per_account and waiting.count(session.account_id) > limits.per_account:
            self.end(waiting.oldest_of(session.account_id))
        elif len(waiting) > limits.max_disconnected:
            self.end(waiting.oldest_of_largest())

    def end(
        self, session: Session, code: CloseCode | None = None, reason: str = "", notice: str | None = None
    ) -> None:
        """End a session: unsubscribe it, and close its connection.

        `code` and `reason` are for the close frame; None closes nothing. `notice` is a text that the client
        receives before, as a reply. Does nothing if the session has ended.
        """
        if session.ended:
            return
        session.end()
        self._waiting.discard(session)
        self._subscriptions.release(session)
        self._sessions.pop(session.id, None)
        if session.replay_buffer is not None:
            self._resumable.pop(session.replay_buffer.token, None)
        output = session.output
        if output is None or code is None:
            return
        self.closed_by_code[int(code)] += 1
        if notice is not None:
            output.reply(encode_notice([notice]))
        output.close(code, reason)

    # -- resuming

    def make_resumable(self, session: Session, interruptions: int) -> ReplayBuffer:
        """Let the session outlive its connection; returns its replay buffer.

        `interruptions`: see `ReplayBuffer`; ignored if the session is resumable already.
        """
        if session.replay_buffer is None:
            replay_buffer = ReplayBuffer(
                self.limits.resume_events, interruptions, session.account_id or "", self.replay_memory
            )
            session.keep_events(replay_buffer)
            self._resumable[replay_buffer.token] = session
            return replay_buffer
        return session.replay_buffer

    def find_resumable(self, token: str, account_id: str | None) -> Session | None:
        """Return the resumable session that `token` names, if it is the account's; else None."""
        session = self._resumable.get(token)
        return session if session is not None and session.account_id == account_id else None

    def take_over(self, resumed: Session, replaced: Session) -> None:
        """Move connection, id, address, rate limit and rights of `replaced` to `resumed`; `replaced` ends.

        An open connection of `resumed` is closed.
        """
        if resumed.output is not None:
            resumed.output.close(CloseCode.RESUMED_ELSEWHERE, "resumed on another connection")
        self._waiting.discard(resumed)
        del self._sessions[resumed.id]
        self._sessions[replaced.id] = resumed
        resumed.id, resumed.source = replaced.id, replaced.source
        if replaced.token is not None and replaced.principal is not None:
            resumed.authenticate(replaced.token, replaced.principal)
        resumed.bucket, resumed.last_seen = replaced.bucket, replaced.last_seen
        if replaced.output is not None:
            resumed.connect(replaced.output)
        replaced.disconnect()
        replaced.end()

    # -- periodic checks

    def startService(self) -> None:
        """Start the periodic checks."""
        super().startService()
        self._sweep_loop.start(SWEEP_INTERVAL, now=False).addErrback(_log_failure)

    def stopService(self) -> None:
        """Stop the periodic checks, and end all sessions."""
        super().stopService()
        if self._sweep_loop.running:
            self._sweep_loop.stop()
        self._rights.stop()
        for session in self:
            self.end(session, CloseCode.GOING_AWAY, "the server is going away")
        self._subscriptions.stop()

    def check_rights(self) -> None:
        """Check all sessions now, because tokens or accounts have changed."""
        self._rights.check(self)

    async def _sweep(self) -> None:
        now = self._clock.seconds()
        self._sweep_number = (self._sweep_number + 1) % SWEEPS_PER_CHECK
        present = [session for session in self if not self._end_if_overdue(session, now)]
        self._rights.check(session for session in present if session.check_group == self._sweep_number)
        self._subscriptions.start_verifying(self)
        await self._subscriptions.renew(self)

    def _end_if_overdue(self, session: Session, now: float) -> bool:
        """End a session whose time is over; returns whether it has ended."""
        limits = self.limits
        if self._authorizer.is_overdue(session):
            self._end_unauthenticated(session)
        elif session.disconnected_at is not None:
            if now - session.disconnected_at > limits.resume_window:
                self.end(session)
        elif session.principal is None:
            if now - session.started > limits.authentication_timeout:
                self.end(session, CloseCode.AUTHENTICATION_TIMEOUT, "not authenticated in time", NO_TOKEN)
        elif not session.subscription_count and now - session.last_seen > limits.idle_timeout:
            self.end(session, CloseCode.IDLE, "idle")
        return session.ended

    def _end_unauthenticated(self, session: Session) -> None:
        self.end(session, CloseCode.UNAUTHENTICATED, "the token is no longer valid", BAD_TOKEN)

    async def _check_session(self, session: Session, check: RightsCheck) -> None:
        """End a session that is no longer authenticated, or subscriptions that are no longer permitted."""
        for account_id in await check.revoked_accounts(session):
            if account_id == session.account_id:
                self.end(session, CloseCode.UNAUTHENTICATED, "the account is no more", NOT_ALLOWED)
                return
            ended = self._subscriptions.unsubscribe(session, account_id, None)
            if session.output is not None:
                notice = encode_notice(
                    [NOT_ALLOWED], account_id=account_id, unsubscribed=ended, subscribed=session.bindings
                )
                session.output.reply(notice)
        if not await check.is_still_valid(session):
            self._end_unauthenticated(session)


def _log_failure(failure: Failure) -> None:
    _log.failure("checking the sessions failed", failure)
