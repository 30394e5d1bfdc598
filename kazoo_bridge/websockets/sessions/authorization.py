"""Authenticates sessions, and checks what they may subscribe to, until their rights end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import ALL_ACCOUNTS, IDirectory, ITokenDoubts, Principal, StorageUnavailable
from kazoo_bridge.token_access import may_access
from kazoo_bridge.websockets.sessions.session import Session

T = TypeVar("T")

_log = Logger()

#: Texts for the client. Their beginnings are KAZOO's, whose clients may compare them; none shows the token.
BAD_TOKEN = "failed to authenticate token (it is unknown, expired or revoked)"  # noqa: S105 - a text
NO_TOKEN = "authentication token required"  # noqa: S105 - a text
WRONG_TOKEN = "invalid authentication token format"  # noqa: S105 - a text
NOT_ALLOWED = "unauthorized account id"
RESTRICTED = "unauthorized account id: access denied by token restrictions"
NO_WILDCARD = "unauthorized wildcard account id"
_UNAVAILABLE = "the directory does not answer just now; try again later"


class AccessDenied(Exception):
    """The session may not do this; the text says why, for the client."""


class InvalidToken(AccessDenied):
    """The directory has looked the token up, and does not know it, or it is no longer valid."""


@define(eq=False)
class Authorizer:
    """Checks tokens and rights with the directory.

    Without `close_on_expiry` a session outlives the expiry of its token, like in KAZOO; not that it is
    revoked before, or that its account is deleted.
    """

    _clock: IReactorTime
    _directory: IDirectory
    _close_on_expiry: bool = True

    async def authenticate(self, session: Session, token: Any) -> None:
        """Authenticate the session as the account of `token`, the value of a message's ``auth_token``.

        An authenticated session needs no token, as long as its own is valid. A valid token of the same
        account then replaces the session's, so that the session lives on when the earlier token expires; any
        other is ignored.

        Raises `AccessDenied` if the session is not authenticated afterwards; `InvalidToken` because of its
        token.
        """
        if session.principal is not None:
            if isinstance(token, str) and token != session.token:
                principal = await self._principal(token)
                if principal is not None and _is_same_client(principal, session.principal):
                    session.authenticate(token, principal)
                    return
            if not await self.begin_check().is_still_valid(session):
                raise AccessDenied(BAD_TOKEN)
            return
        if token is None:
            raise AccessDenied(NO_TOKEN)
        if not isinstance(token, str):
            raise AccessDenied(WRONG_TOKEN)
        principal = await self._principal(token)
        if principal is None:
            raise InvalidToken(BAD_TOKEN)
        session.authenticate(token, principal)

    async def authorize(
        self, session: Session, account_id: str, method: str = "GET", path: Sequence[str] = ("events",)
    ) -> None:
        """Require that the session may act for `account_id`, or for all accounts (``*``).

        A token with restrictions must allow the request of REST that does the same: `method` on `path`, which
        follows the account; that is the stream of events unless a message is a command. There is none for all
        accounts. Raises `AccessDenied`, also when the directory does not answer.
        """
        try:
            if not await self.begin_check().can_act_for(session.principal, account_id):
                raise AccessDenied(NO_WILDCARD if account_id == ALL_ACCOUNTS else NOT_ALLOWED)
            if not await self._is_unrestricted(session, method, ("accounts", account_id, *path)):
                raise AccessDenied(RESTRICTED)
        except StorageUnavailable:
            raise AccessDenied(_UNAVAILABLE) from None

    async def _is_unrestricted(self, session: Session, method: str, segments: Sequence[str]) -> bool:
        principal = session.principal
        if principal is None or principal.restrictions is None:
            return principal is not None
        return ALL_ACCOUNTS not in segments and await may_access(self._directory, principal, method, segments)

    def begin_check(self) -> RightsCheck:
        """Return a check that has asked nothing yet."""
        return RightsCheck(self._clock, self._directory, self._close_on_expiry)

    def is_overdue(self, session: Session) -> bool:
        """Return whether the session must end because its token has expired."""
        principal = session.principal
        return (
            self._close_on_expiry and principal is not None and has_expired(principal, self._clock.seconds())
        )

    async def _principal(self, token: str) -> Principal | None:
        try:
            return await self._directory.authenticate(token)
        except StorageUnavailable:
            raise AccessDenied(_UNAVAILABLE) from None


@define(eq=False)
class RightsCheck:
    """What the directory says at one time, about any number of sessions: it is asked each thing once.

    `lookups` counts the answers that the directory did not have in memory.
    """

    _clock: IReactorTime
    _directory: IDirectory
    _close_on_expiry: bool = True
    lookups: int = field(init=False, default=0)
    _valid: dict[str, bool] = field(init=False, factory=dict)
    _allowed: dict[tuple[str, str], bool] = field(init=False, factory=dict)

    async def is_still_valid(self, session: Session) -> bool:
        """Check whether the session's token is still valid.

        True for a session that is not authenticated, and while the directory does not answer.
        """
        principal, token = session.principal, session.token
        if principal is None or token is None:
            return True
        if has_expired(principal, self._clock.seconds()):
            return not self._close_on_expiry
        valid = self._valid.get(token)
        if valid is None:
            try:
                valid = await self._counted(self._directory.authenticate(token)) is not None
            except StorageUnavailable as error:
                _log.warn(
                    "token not checked session={session_id} reason={reason}",
                    session_id=session.id,
                    reason=error,
                )
                return True
            self._valid[token] = valid
        return valid

    def is_in_doubt(self, session: Session) -> bool:
        """Return whether the directory knows that the session's token may have ended; memory answers."""
        if session.token is None or not ITokenDoubts.providedBy(self._directory):
            return False
        return bool(ITokenDoubts(self._directory).is_in_doubt(session.token))

    async def revoked_accounts(self, session: Session) -> list[str]:
        """Return the accounts to which the session is subscribed without a right any more.

        Empty while the directory does not answer.
        """
        try:
            return [
                account_id
                for account_id in session.subscribed_accounts
                if not await self.can_act_for(session.principal, account_id)
            ]
        except StorageUnavailable:
            return []

    async def can_act_for(self, principal: Principal | None, account_id: str) -> bool:
        """Return whether `principal` may act for the account, or for all (``*``).

        Raises `StorageUnavailable`.
        """
        if principal is None:
            return False
        if account_id == ALL_ACCOUNTS:
            return self._directory.is_superadmin(principal.account_id)
        pair = (principal.account_id, account_id)
        allowed = self._allowed.get(pair)
        if allowed is None:
            allowed = await self._counted(self._directory.can_act_for(principal, account_id))
            self._allowed[pair] = allowed
        return allowed

    def _counted(self, answer: Deferred[T]) -> Deferred[T]:
        if not answer.called:
            self.lookups += 1
        return answer


def _is_same_client(principal: Principal, present: Principal) -> bool:
    """Return whether a token may replace the present one: it has the same account and restrictions."""
    return (principal.account_id, principal.restrictions) == (present.account_id, present.restrictions)


def has_expired(principal: Principal, now: float) -> bool:
    """Return whether the token of `principal` has expired at the time `now` (Unix seconds)."""
    return principal.expires is not None and principal.expires <= now
