"""The resumable sessions that wait for their clients, bounded so that each account loses its own first."""

from __future__ import annotations

from collections import OrderedDict

from attrs import define, field

from kazoo_bridge.websockets.sessions.session import Session


@define(eq=False)
class WaitingSessions:
    """Holds sessions by account, in the order of their disconnection.

    Every operation costs the same, however many sessions there are.
    """

    _by_account: dict[str | None, OrderedDict[Session, None]] = field(init=False, factory=dict)
    #: Number of sessions -> the accounts with so many.
    _accounts: dict[int, OrderedDict[str | None, None]] = field(init=False, factory=dict)
    _largest: int = field(init=False, default=0)
    _total: int = field(init=False, default=0)

    def __len__(self) -> int:
        return self._total

    def count(self, account_id: str | None) -> int:
        """Return how many sessions of the account wait."""
        return len(self._by_account.get(account_id, ()))

    def add(self, session: Session) -> None:
        """Add a session that was disconnected just now."""
        account_id = session.account_id
        sessions = self._by_account.setdefault(account_id, OrderedDict())
        if session not in sessions:
            sessions[session] = None
            self._total += 1
            self._move(account_id, len(sessions) - 1, len(sessions))

    def discard(self, session: Session) -> None:
        """Remove a session that has ended or has its client again, if it is here."""
        account_id = session.account_id
        sessions = self._by_account.get(account_id)
        if sessions is not None and session in sessions:
            del sessions[session]
            self._total -= 1
            self._move(account_id, len(sessions) + 1, len(sessions))
            if not sessions:
                del self._by_account[account_id]

    def oldest_of(self, account_id: str | None) -> Session:
        """Return the session of the account that has waited for longest; there must be one."""
        return next(iter(self._by_account[account_id]))

    def oldest_of_largest(self) -> Session:
        """Return the oldest session of the account with the most sessions; there must be one."""
        return self.oldest_of(next(iter(self._accounts[self._largest])))

    def _move(self, account_id: str | None, before: int, after: int) -> None:
        """Note that an account has one session more or less."""
        if before:
            del self._accounts[before][account_id]
            if not self._accounts[before]:
                del self._accounts[before]
        if after:
            self._accounts.setdefault(after, OrderedDict())[account_id] = None
        if after > self._largest or self._largest not in self._accounts:
            self._largest = after
