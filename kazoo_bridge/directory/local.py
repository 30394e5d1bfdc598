"""The directory that needs nobody else: accounts, tokens and API keys from this service's own storage."""

from __future__ import annotations

from hashlib import sha256

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from kazoo_bridge.directory.account_tree import AccountTree
from kazoo_bridge.directory.store_protocols import AccountSource, NumberSource, TokenSource
from kazoo_bridge.directory.ttl_cache import TtlCache
from kazoo_bridge.interfaces import Account, IDirectory, Principal

#: Longer secrets are nobody's; they are refused before they cost anything.
MAX_SECRET_LENGTH = 4096

#: How many valid tokens are remembered, and how many unknown ones.
MAX_CACHED = 10_000

#: Seconds for which an unknown token is remembered as unknown.
UNKNOWN_TTL = 1.0

#: Seconds for which the ancestors of an account that has gone are remembered.
GONE_TTL = 60.0

#: Seconds for which a token got with an API key is valid.
LOGIN_TTL = 3600.0


@implementer(IDirectory)
class LocalDirectory:
    """Accounts in memory, tokens looked up once and then remembered.

    `load` before use, and subscribe `changed` to the storage's change feed. Whatever reads the storage may fail with `StorageUnavailable`.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        accounts: AccountSource,
        tokens: TokenSource,
        numbers: NumberSource | None = None,
        *,
        login_ttl: float = LOGIN_TTL,
    ) -> None:
        self._clock = clock
        self._stored_accounts = accounts
        self._stored_tokens = tokens
        self._stored_numbers = numbers
        self._owners: dict[str, str] = {}
        self._login_ttl = login_ttl
        self._tree = AccountTree()
        self._known: TtlCache[Principal] = TtlCache(MAX_CACHED)
        self._unknown: TtlCache[bool] = TtlCache(MAX_CACHED)
        self._gone: TtlCache[tuple[str, ...]] = TtlCache(MAX_CACHED)
        self._changes = 0

    async def load(self) -> None:
        """Read every account and every number."""
        self._tree.replace_all(await self._stored_accounts.all())
        self._owners = dict(await self._stored_numbers.all()) if self._stored_numbers is not None else {}
        self._forget_tokens()
        self.log.info("the directory has {count} accounts", count=len(self._tree))

    def changed(self, kind: str, subjects: frozenset[str]) -> Deferred[None] | None:
        """Follow a change in the storage; a subscriber for the change feed."""
        if kind == "token":
            self._changes += 1
            for digest in subjects:
                self._known.discard(digest)
                self._unknown.discard(digest)
        elif kind == "account":
            return Deferred.fromCoroutine(self._refresh(subjects))
        elif kind == "number" and self._stored_numbers is not None:
            return Deferred.fromCoroutine(self._refresh_numbers(self._stored_numbers, subjects))
        elif kind == "*":
            return Deferred.fromCoroutine(self.load())
        return None

    # -- IDirectory

    def authenticate(self, token: str) -> Deferred[Principal | None]:
        """The token's principal, or None when the token is unknown, expired or revoked, or its account gone."""
        digest = _digest(token)
        if digest is None:
            return succeed(None)
        now = self._clock.seconds()
        principal = self._known.get(digest, now)
        if principal is not None or self._unknown.get(digest, now):
            return succeed(principal)
        return Deferred.fromCoroutine(self._look_up(digest))

    def login(self, api_key: str) -> Deferred[tuple[str, Principal] | None]:
        """A fresh token for a valid API key, with its principal; None for any other key."""
        digest = _digest(api_key)
        return succeed(None) if digest is None else Deferred.fromCoroutine(self._log_in(digest))

    def account(self, account_id: str) -> Deferred[Account | None]:
        """The account, or None when there is none of that id."""
        return succeed(self._tree.find(account_id))

    def ancestors(self, account_id: str) -> tuple[str, ...] | None:
        """The account's ancestors, parent first; None when there is no such account, nor was a minute ago.

        What happened to an account just before it went, and its going itself, still reaches those above it.
        """
        account = self._tree.find(account_id)
        return self._gone.get(account_id, self._clock.seconds()) if account is None else account.ancestors

    def is_superadmin(self, account_id: str) -> bool:
        """Whether the account is a super-admin's."""
        account = self._tree.find(account_id)
        return account is not None and account.superadmin

    def account_for_number(self, number: str) -> str | None:
        """The account that owns a telephone number."""
        return self._owners.get(number)

    def descendants(self, account_id: str) -> Deferred[frozenset[str]]:
        """The ids of all accounts below this one."""
        return succeed(self._tree.descendants(account_id))

    def can_act_for(self, principal: Principal, account_id: str) -> Deferred[bool]:
        """Whether `principal` may act for the account: itself, a descendant of it, or anybody for super-admins.

        Nobody may in the name of an account that is gone, or that is no longer a super-admin's.
        """
        actor = self._tree.find(principal.account_id)
        if actor is None:
            return succeed(False)
        if actor.superadmin or account_id == actor.id:
            return succeed(True)
        return succeed(account_id in self._tree and actor.id in (self.ancestors(account_id) or ()))

    # -- beyond it

    def find(self, account_id: str) -> Account | None:
        """The account, or None, at once."""
        return self._tree.find(account_id)

    async def _look_up(self, digest: str) -> Principal | None:
        changes = self._changes
        stored = await self._stored_tokens.lookup(digest)
        principal = None if stored is None else await self._principal(stored.account_id, stored.expires)
        if (
            principal is not None
            and principal.expires is not None
            and principal.expires <= self._clock.seconds()
        ):
            principal = None
        if (
            changes == self._changes
        ):  # else the answer may be older than a change that nobody will tell us of again
            if principal is None:
                self._unknown.put(digest, True, self._clock.seconds() + UNKNOWN_TTL)
            else:
                self._known.put(digest, principal, principal.expires)
        return principal

    async def _log_in(self, digest: str) -> tuple[str, Principal] | None:
        account_id = await self._stored_tokens.account_of_api_key(digest)
        principal = None if account_id is None else await self._principal(account_id, None)
        if principal is None:
            return None
        issued = await self._stored_tokens.create(principal.account_id, self._login_ttl)
        return issued.token, Principal(principal.account_id, principal.superadmin, issued.expires)

    async def _principal(self, account_id: str, expires: float | None) -> Principal | None:
        """The principal for a token that was found just now.

        Its account may be newer than the latest change we have heard of, so that is looked up too.
        """
        await self._fetch_missing(account_id)
        account = self._tree.find(account_id)
        return None if account is None else Principal(account_id, account.superadmin, expires)

    async def _fetch_missing(self, account_id: str) -> None:
        missing = self._tree.missing_parent(account_id)
        while missing is not None:
            changes = self._changes
            rows = await self._stored_accounts.by_ids([missing])
            if not rows:
                return
            if (
                changes == self._changes
            ):  # else the row may be older than what the change has brought; look again
                self._tree.update([missing], rows)
            missing = self._tree.missing_parent(account_id)

    async def _refresh(self, account_ids: frozenset[str]) -> None:
        rows = await self._stored_accounts.by_ids(account_ids)
        for account_id in account_ids.difference(row.id for row in rows):
            account = self._tree.find(account_id)
            if account is not None:
                self._gone.put(account_id, account.ancestors, self._clock.seconds() + GONE_TTL)
        self._tree.update(account_ids, rows)
        self._changes += 1
        self._known.discard_if(lambda principal: principal.account_id in account_ids)
        self._unknown.clear()

    async def _refresh_numbers(self, stored: NumberSource, numbers: frozenset[str]) -> None:
        owners = await stored.owners(numbers)
        for number in numbers:
            self._owners.pop(number, None)
        self._owners |= owners

    def _forget_tokens(self) -> None:
        self._changes += 1
        self._known.clear()
        self._unknown.clear()


def _digest(secret: str) -> str | None:
    """The SHA-256 under which a secret is kept, None for what cannot be one.

    Looking a digest up takes no time that tells anything about the secret.
    """
    if not 0 < len(secret) <= MAX_SECRET_LENGTH:
        return None
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
