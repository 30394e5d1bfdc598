"""The directory that needs no other service: accounts, secrets and numbers from the node's own storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from kazoo_bridge.directory.account_tree import AccountTree
from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.directory.dialling import Dialling
from kazoo_bridge.directory.store_protocols import AccountSource, NumberSource, TokenSource
from kazoo_bridge.directory.ttl_cache import CacheLookups, TtlCache
from kazoo_bridge.interfaces import (
    UNKNOWN_PEOPLE,
    Account,
    IDirectory,
    IPeople,
    People,
    Principal,
    TokenRestrictions,
)

#: Characters. Longer secrets are refused without a lookup.
MAX_SECRET_LENGTH = 4096

#: Entries of each cache: valid tokens, unknown tokens, deleted accounts.
MAX_CACHED = 10_000

#: Seconds for which an unknown token is not looked up again.
UNKNOWN_TTL = 1.0

#: Seconds for which the ancestors of a deleted account are remembered.
GONE_TTL = 60.0

#: Seconds for which a token that is created with an API key is valid.
LOGIN_TTL = 3600.0


@implementer(IDirectory)
class LocalDirectory(BaseDirectory):
    """All accounts and numbers in memory; tokens are looked up once and then cached.

    Call `load` before use, and subscribe `on_change` to the change feed. Every Deferred that reads the
    storage may fail with `StorageUnavailable`.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        accounts: AccountSource,
        tokens: TokenSource,
        numbers: NumberSource,
        *,
        login_ttl: float = LOGIN_TTL,
        dialling: Dialling | None = None,
        people: IPeople | None = None,
    ) -> None:
        """Read nothing yet.

        `login_ttl` is the validity of tokens from `login`, in seconds. `dialling` converts dialled numbers;
        None: they have country codes. `people` knows the people of the accounts; None: none are known.
        """
        self._clock = clock
        self._account_source = accounts
        self._token_source = tokens
        self._number_source = numbers
        self._login_ttl = login_ttl
        self._dialling = dialling or Dialling()
        self._people: Any = people
        self._tree = AccountTree()
        self._owners: dict[str, str] = {}
        self._principals: TtlCache[Principal] = TtlCache(MAX_CACHED)
        self._token_lookups = CacheLookups()
        self._unknown: TtlCache[bool] = TtlCache(MAX_CACHED)
        self._gone: TtlCache[tuple[str, ...]] = TtlCache(MAX_CACHED)
        self._change_count = 0
        self._rights_revision = 0

    @property
    def cache_lookups(self) -> Mapping[str, CacheLookups]:
        """The lookups of tokens."""
        return {"local_tokens": self._token_lookups}

    @property
    def rights_revision(self) -> int:
        """A number that changes when rights may have ended: those of a token in memory, or of an account."""
        return self._rights_revision

    async def load(self) -> None:
        """Read every account and every number, and drop all cached tokens. Raises `StorageUnavailable`."""
        self._tree.replace_all(await self._account_source.all())
        self._owners = dict(await self._number_source.all())
        self._change_count += 1
        self._rights_revision += 1
        self._principals.clear()
        self._unknown.clear()
        self.log.info("directory loaded accounts={count}", count=len(self._tree))

    def on_change(self, kind: str, subjects: frozenset[str]) -> Deferred[None] | None:
        """Follow a change in the storage; a subscriber of the change feed.

        `kind` and `subjects` are those of the change log; kinds that are not the directory's are ignored,
        ``*`` loads everything again. Fails with `StorageUnavailable` if it must read; the feed then calls
        it again.
        """
        if kind == "token":
            self._change_count += 1
            for digest in subjects:
                self._rights_revision += self._principals.discard(digest)
                self._unknown.discard(digest)
        elif kind == "account":
            return Deferred.fromCoroutine(self._refresh_accounts(subjects))
        elif kind == "number":
            return Deferred.fromCoroutine(self._refresh_numbers(subjects))
        elif kind == "*":
            return Deferred.fromCoroutine(self.load())
        return None

    # -- IDirectory

    def authenticate(self, token: str) -> Deferred[Principal | None]:
        """Fire with the token's principal.

        None if the token is unknown, expired or revoked, or its account deleted or disabled.
        """
        if not _may_be_secret(token):
            return succeed(None)
        digest = self._token_source.digest(token)
        now = self._clock.seconds()
        principal = self._principals.get(digest, now)
        if principal is not None or self._unknown.get(digest, now):
            self._token_lookups.hits += 1
            return succeed(principal)
        self._token_lookups.misses += 1
        return Deferred.fromCoroutine(self._look_up(digest))

    def login(self, api_key: str) -> Deferred[tuple[str, Principal] | None]:
        """Create a token for a valid API key.

        Fires with the token and its principal, or None for any other key.
        """
        if not _may_be_secret(api_key):
            return succeed(None)
        return Deferred.fromCoroutine(self._log_in(self._token_source.digest(api_key)))

    def log_out(self, token: str) -> Deferred[bool]:
        """Delete a token; fires with False if it is unknown."""
        return Deferred.fromCoroutine(self._log_out(token)) if _may_be_secret(token) else succeed(False)

    def account(self, account_id: str) -> Deferred[Account | None]:
        """Fire with the account, or None if it is unknown."""
        return succeed(self._tree.find(account_id))

    def ancestors(self, account_id: str) -> tuple[str, ...] | None:
        """Return the account's ancestors, parent first; None if the account is unknown.

        A deleted account stays known here for `GONE_TTL`, so that the last events of the account, its
        deletion among them, still reach its ancestors.
        """
        account = self._tree.find(account_id)
        return self._gone.get(account_id, self._clock.seconds()) if account is None else account.ancestors

    def is_superadmin(self, account_id: str) -> bool:
        """Return True if the account is known and may act for every account."""
        account = self._tree.find(account_id)
        return account is not None and account.superadmin and account.enabled

    def people(self, account_id: str) -> Deferred[People]:
        """Fire with the people of the account as the source of people knows them; without one with none."""
        if self._people is None or self._tree.find(account_id) is None:
            return succeed(UNKNOWN_PEOPLE)
        people: Deferred[People] = self._people.people(account_id)
        return people

    def member_document(
        self, account_id: str, kind: str, member_id: str
    ) -> Deferred[Mapping[str, Any] | None]:
        """Fire with the document of a member from the source of people; None without one."""
        if self._people is None or self._tree.find(account_id) is None:
            return succeed(None)
        document: Deferred[Mapping[str, Any] | None] = self._people.member_document(
            account_id, kind, member_id
        )
        return document

    def account_for_number(self, number: str) -> str | None:
        """Return the id of the account that owns a phone number, or None.

        Without a ``+`` it may be a national number, or, if that has no owner, one with its country code.
        """
        if not self._owners:
            return None
        if number.startswith("+"):
            return self._owners.get(number[1:])
        e164 = self._dialling.to_e164(number)
        owner = None if e164 is None else self._owners.get(e164.removeprefix("+"))
        return owner or self._owners.get(number)

    def descendants(self, account_id: str) -> Deferred[frozenset[str]]:
        """Fire with the ids of all accounts below this account, at any depth."""
        return succeed(self._tree.descendants(account_id))

    def can_act_for(self, principal: Principal, account_id: str) -> Deferred[bool]:
        """Fire with True if `principal` may act for the account.

        It may act for its own account and the descendants of it, and as super-admin for every account. The
        present state of its account decides, not `principal.superadmin`; the principal of a deleted or
        disabled account may do nothing.
        """
        actor = self._tree.find(principal.account_id)
        if actor is None or not actor.enabled:
            return succeed(False)
        if actor.superadmin or account_id == actor.id:
            return succeed(True)
        return succeed(account_id in self._tree and actor.id in (self.ancestors(account_id) or ()))

    async def _look_up(self, digest: str) -> Principal | None:
        changes = self._change_count
        stored = await self._token_source.lookup(digest)
        principal = None if stored is None else await self._principal(stored.account_id, stored.expires)
        if principal is not None and stored is not None and stored.restrictions is not None:
            principal = evolve(principal, restrictions=_parse_restrictions(stored.restrictions))
        # The second read may have taken until after the token expired.
        if principal and principal.expires is not None and principal.expires <= self._clock.seconds():
            principal = None
        # After a change in between, the result may be older than that change, which is not reported again.
        if changes == self._change_count:
            if principal is None:
                self._unknown.put(digest, True, self._clock.seconds() + UNKNOWN_TTL)
            else:
                self._principals.put(digest, principal, principal.expires)
        return principal

    async def _log_in(self, digest: str) -> tuple[str, Principal] | None:
        account_id = await self._token_source.account_for_api_key(digest)
        principal = None if account_id is None else await self._principal(account_id, None)
        if principal is None:
            return None
        issued = await self._token_source.log_in(digest, principal.account_id, self._login_ttl)
        return issued.token, Principal(principal.account_id, principal.superadmin, issued.expires)

    async def _log_out(self, token: str) -> bool:
        ended = await self._token_source.revoke(token)
        # The change feed brings it to the other nodes.
        if ended:
            self._change_count += 1
            self._rights_revision += self._principals.discard(self._token_source.digest(token))
        return ended

    async def _principal(self, account_id: str, expires: float | None) -> Principal | None:
        """The principal for a token or key that has just been read; None if its account is disabled."""
        # The account may be newer than the latest change that has been reported.
        await self._fetch_missing(account_id)
        account = self._tree.find(account_id)
        if account is None or not account.enabled:
            return None
        return Principal(account_id, account.superadmin, expires)

    async def _fetch_missing(self, account_id: str) -> None:
        """Read the account and its ancestors as far as they are not in memory."""
        missing = self._tree.missing_parent(account_id)
        while missing is not None:
            changes = self._change_count
            rows = await self._account_source.by_ids([missing])
            if not rows:
                return
            # After a change in between, the row may be older than what the change has brought: read again.
            if changes == self._change_count:
                self._tree.update([missing], rows)
            missing = self._tree.missing_parent(account_id)

    async def _refresh_accounts(self, account_ids: frozenset[str]) -> None:
        rows = await self._account_source.by_ids(account_ids)
        for account_id in account_ids.difference(row.id for row in rows):
            account = self._tree.find(account_id)
            if account is not None:
                self._gone.put(account_id, account.ancestors, self._clock.seconds() + GONE_TTL)
        self._tree.update(account_ids, rows)
        self._change_count += 1
        self._rights_revision += 1
        self._principals.discard_if(lambda principal: principal.account_id in account_ids)
        self._unknown.clear()

    async def _refresh_numbers(self, numbers: frozenset[str]) -> None:
        owners = await self._number_source.owners(numbers)
        for number in numbers:
            self._owners.pop(number, None)
        self._owners |= owners


def _may_be_secret(text: str) -> bool:
    return 0 < len(text) <= MAX_SECRET_LENGTH


def _parse_restrictions(text: str) -> TokenRestrictions:
    """Return the restrictions of a stored token; what cannot be read allows nothing."""
    try:
        return TokenRestrictions.parse(orjson.loads(text))
    except orjson.JSONDecodeError:
        return TokenRestrictions()
