"""The directory: accounts, their ancestors, tokens and principals, owners of telephone numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from zope.interface import Interface

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.defer import Deferred

    from kazoo_bridge.interfaces.token_restrictions import TokenRestrictions


@frozen
class Account:
    """An account.

    `id`: 32 lower-case hexadecimal characters. `name` and `realm`: as KAZOO's account document has them.

    `ancestors`: account ids, from the parent to the top of the tree.

    `superadmin`: True for the account of super-admins. `enabled`: False for an account whose own tokens may
    not be used; those of the accounts above it may act for it.

    `reseller`: the id of the reseller that its source names; None: the source names none. `is_reseller`: True
    for an account that its source calls a reseller itself.

    Example: ``Account("3f0a9c51d7e84b62a1c05d9e7b2f4860", "Solberg Instruments", "voice.example.com")``.
    """

    id: str
    name: str
    realm: str
    ancestors: tuple[str, ...] = ()
    superadmin: bool = False
    enabled: bool = True
    reseller: str | None = None
    is_reseller: bool = False

    @property
    def reseller_id(self) -> str | None:
        """The id of the account's reseller: the one that is named, else its parent; None at the top."""
        return self.reseller or (self.ancestors[0] if self.ancestors else None)


@frozen
class Principal:
    """The account that a valid token authenticates.

    `expires`: when the token expires, in Unix seconds; None: never.

    `restrictions`: the requests for which the token may be used; None: for all that its account may.

    `user_id`: the user of the account that has logged in; None: the token is the account's.
    """

    account_id: str
    superadmin: bool = False
    expires: float | None = None
    restrictions: TokenRestrictions | None = None
    user_id: str | None = None


@frozen
class UserLogin:
    """A user who has logged in: the new token, its principal, and what KAZOO answers about the user."""

    token: str = field(repr=False)
    principal: Principal
    data: Mapping[str, Any] = field(factory=dict, repr=False)


class LoginRefused(Exception):
    """A login of a user is refused; `status` (400 to 499), `word` and `data` are KAZOO's for the answer."""

    def __init__(self, status: int, word: str, data: Any) -> None:
        super().__init__(f"{status} {word}")
        self.status = status
        self.word = word
        self.data = data


class ISipUsernames(Interface):
    """What a directory may know beside `IDirectory`: the SIP user names of an account's devices."""

    def sip_usernames(account_id: str, kind: str, member_id: str) -> Deferred[Sequence[str] | None]:
        """Return the SIP user names of a device, of a user's devices, or of the devices of a group.

        `kind` is ``device``, ``user`` or ``group``, and `member_id` its id. None: the directory knows no
        devices. Fails with `StorageUnavailable`.
        """


class ITokenDoubts(Interface):
    """What a directory may know beside `IDirectory`: which tokens may have ended."""

    def is_in_doubt(token: str) -> bool:
        """Return whether something that a token was verified with has changed since, as far as memory knows.

        `IDirectory.authenticate` reads it again before it answers.
        """


class IDirectory(Interface):
    """Knows accounts, authenticates tokens, and decides which account may act for which.

    Methods that return a Deferred fail with `StorageUnavailable`. The others answer from memory.
    """

    def authenticate(token: str) -> Deferred[Principal | None]:
        """Return the token's principal; None if the token is unknown, expired or revoked."""

    def login(api_key: str) -> Deferred[tuple[str, Principal] | None]:
        """Create a token for a valid API key and return it with its principal; None for any other key."""

    def log_in_user(credentials: Mapping[str, Any]) -> Deferred[UserLogin | None]:
        """Create a token for a user; `credentials` are the ``data`` of KAZOO's ``PUT /v2/user_auth``.

        None if there are no users. Fails with `LoginRefused`.
        """

    def log_out(token: str) -> Deferred[bool]:
        """End a token; returns False if it cannot be ended here."""

    def account(account_id: str) -> Deferred[Account | None]:
        """Return the account; None if there is none of that id."""

    def ancestors(account_id: str) -> tuple[str, ...] | None:
        """Return the ids of the account's ancestors, parent first.

        None: the account is not in memory. Call `account`, then call this again.
        """

    def reseller_of(account_id: str) -> str | None:
        """Return the id of the account's reseller, from memory.

        None: it has none, or the account is not in memory.
        """

    def descendants(account_id: str) -> Deferred[frozenset[str]]:
        """Return the ids of all accounts below this one, at any depth."""

    def is_superadmin(account_id: str) -> bool:
        """Return True if the account is known in memory as one of super-admins."""

    def account_for_number(number: str) -> str | None:
        """Return the id of the account that owns a telephone number, from memory.

        `number` is in the form of `kazoo_bridge.kazoo.dialled_number`.
        """

    def look_up_number(number: str) -> Deferred[Any] | None:
        """Ask the source for the owner of a number that memory does not know.

        None: what `account_for_number` returns is final. Else a Deferred, with no result of use, that fires
        when `account_for_number` knows more; its caller may cancel it.
        """

    def can_act_for(principal: Principal, account_id: str) -> Deferred[bool]:
        """Return True if `principal` may act for the account.

        It may for its own account and the accounts below; a super-admin for all.
        """
