"""Who a client is, what it may hear of, and until when."""

from __future__ import annotations

from typing import Any

from attrs import define
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import IDirectory, Principal, StorageUnavailable
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.subscriptions.subscriptions import ALL_ACCOUNTS

_log = Logger()

#: The beginnings of these texts are KAZOO's; the token itself is nobody's business.
BAD_TOKEN = "failed to authenticate token (it is unknown, expired or revoked)"  # noqa: S105 - a text
NO_TOKEN = "authentication token required"  # noqa: S105 - a text
WRONG_TOKEN = "invalid authentication token format"  # noqa: S105 - a text
NOT_ALLOWED = "unauthorized account id"
NO_WILDCARD = "unauthorized wildcard account id"
_UNAVAILABLE = "the directory does not answer just now; try again later"


class AccessDenied(Exception):
    """The client may not; the text says why. `final`: the connection has no more use."""

    def __init__(self, text: str, *, final: bool = False) -> None:
        super().__init__(text)
        self.final = final


@define(eq=False)
class Authorizer:
    """Asks the directory."""

    _clock: IReactorTime
    _directory: IDirectory

    async def authenticate(self, session: Session, token: Any) -> None:
        """Let the session speak for a token's account; raises `AccessDenied`.

        Once it does, messages need no token. One that comes with a newer token of the same account is renewed by it.
        """
        if session.principal is not None:
            if isinstance(token, str) and token != session.token:
                principal = await self._principal(token)
                if principal is not None and principal.account_id == session.account_id:
                    session.token, session.principal = token, principal
            return
        if token is None:
            raise AccessDenied(NO_TOKEN)
        if not isinstance(token, str):
            raise AccessDenied(WRONG_TOKEN)
        principal = await self._principal(token)
        if principal is None:
            raise AccessDenied(BAD_TOKEN)
        session.token, session.principal = token, principal

    async def authorize(self, session: Session, account_id: str) -> None:
        """Raises `AccessDenied` when the session may not act for the account."""
        try:
            allowed = await self._can_act_for(session, account_id)
        except StorageUnavailable:
            raise AccessDenied(_UNAVAILABLE) from None
        if not allowed:
            raise AccessDenied(NO_WILDCARD if account_id == ALL_ACCOUNTS else NOT_ALLOWED)

    async def still_valid(self, session: Session) -> bool:
        """Whether the session's token is still good. A directory that does not answer takes nothing away."""
        principal = session.principal
        if principal is None or session.token is None:
            return True
        if principal.expires is not None and principal.expires <= self._clock.seconds():
            return False
        try:
            return await self._directory.authenticate(session.token) is not None
        except StorageUnavailable as error:
            _log.warn(
                "the token of socket {session_id} cannot be checked: {reason}",
                session_id=session.id,
                reason=error,
            )
            return True

    async def revoked_accounts(self, session: Session) -> list[str]:
        """The accounts that the session hears of, and may not any more."""
        try:
            return [account for account in session.accounts if not await self._can_act_for(session, account)]
        except StorageUnavailable:
            return []

    async def _principal(self, token: str) -> Principal | None:
        try:
            return await self._directory.authenticate(token)
        except StorageUnavailable:
            raise AccessDenied(_UNAVAILABLE) from None

    async def _can_act_for(self, session: Session, account_id: str) -> bool:
        principal = session.principal
        if principal is None:
            return False
        if account_id == ALL_ACCOUNTS:
            return self._directory.is_superadmin(principal.account_id)
        return await self._directory.can_act_for(principal, account_id)
