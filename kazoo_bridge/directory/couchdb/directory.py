"""The directory that reads a running KAZOO's CouchDB, and verifies KAZOO's tokens itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from attrs import frozen
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from twisted.internet.defer import Deferred, DeferredList, fail, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from kazoo_bridge.config import Config
from kazoo_bridge.couchdb.client import CouchClient
from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.directory.couchdb.account_records import AccountRecord
from kazoo_bridge.directory.couchdb.accounts import CouchAccounts
from kazoo_bridge.directory.couchdb.cached_reader import Freshness
from kazoo_bridge.directory.couchdb.kazoo_token import KazooToken, parse_token
from kazoo_bridge.directory.couchdb.logins import CouchLogins
from kazoo_bridge.directory.couchdb.numbers import CouchNumbers
from kazoo_bridge.directory.couchdb.people import CouchPeople
from kazoo_bridge.directory.couchdb.secrets import AuthSettings, CouchSecrets, Identity
from kazoo_bridge.directory.couchdb.sip_usernames import find_sip_usernames
from kazoo_bridge.directory.dialling import Dialling
from kazoo_bridge.directory.ended_tokens import EndedTokens
from kazoo_bridge.directory.jwt_claims import may_be_token
from kazoo_bridge.directory.people_cache import PEOPLE_TOPICS
from kazoo_bridge.directory.shared_reads import SharedReads
from kazoo_bridge.directory.ttl_cache import CacheLookups, TtlCache
from kazoo_bridge.interfaces import (
    Account,
    IDirectory,
    ITokenDoubts,
    People,
    Principal,
    StorageUnavailable,
    TokenRestrictions,
    Topic,
    UserLogin,
)
from kazoo_bridge.kazoo import Event, is_account_id

_log = Logger()

#: The messages of KAZOO about changed documents, ``ACTION.DATABASE.TYPE.ID``, beside those about people.
_DOCUMENTS = ("*.account.*", "*.number.*", "system_auth.#", "system_config.#")
_TOPICS = frozenset(
    Topic("configuration", f"{action}.{documents}")
    for action in ("doc_created", "doc_edited", "doc_deleted")
    for documents in _DOCUMENTS
).union(PEOPLE_TOPICS)

#: Principals of tokens that are kept.
MAX_CACHED = 20_000

#: Different tokens that are verified at the same time; more get `StorageUnavailable`.
MAX_VERIFYING = 2000


@frozen
class _Verified:
    """A principal, and all that its token was verified with."""

    principal: Principal
    token: KazooToken
    key: RSAPublicKey
    identity: Identity | None
    settings: AuthSettings | None


@implementer(IDirectory, ITokenDoubts)
class CouchDirectory(BaseDirectory):
    """Accounts in memory, followed; tokens verified with the keys and secrets of CouchDB.

    While CouchDB is away, what is known serves on for `freshness.usable` seconds; what is not known fails
    with `StorageUnavailable`.
    """

    def __init__(
        self, clock: IReactorTime, client: CouchClient, freshness: Freshness, dialling: Dialling | None = None
    ) -> None:
        """Read nothing yet. `dialling` receives KAZOO's converters of numbers."""
        self._clock = clock
        self._client = client
        self._freshness = freshness
        self._revision = 0
        self._accounts = CouchAccounts(clock, client, self._on_account_changed)
        self._secrets = CouchSecrets(clock, client, freshness, self._on_secrets_changed)
        self._numbers = CouchNumbers(clock, client, freshness.usable, dialling or Dialling())
        self._people = CouchPeople(clock, client, freshness.usable, self._realm_of)
        self._logins = CouchLogins(clock, client, self._accounts, self._secrets, self._numbers)
        self._verified: TtlCache[_Verified] = TtlCache(MAX_CACHED)
        self._token_lookups = CacheLookups()
        self._ended = EndedTokens(MAX_CACHED)
        self._verifying: SharedReads[Principal | None] = SharedReads()

    @classmethod
    def from_config(cls, reactor: Any, config: Config, dialling: Dialling | None = None) -> CouchDirectory:
        """Make the directory of the section ``couchdb``."""
        settings = config.couchdb
        client = CouchClient.from_uri(reactor, settings.uri, timeout=settings.request_timeout_ms / 1000)
        return cls(reactor, client, Freshness(settings.recheck_s, settings.max_stale_s), dialling)

    @property
    def cache_lookups(self) -> Mapping[str, CacheLookups]:
        """The lookups of tokens."""
        return {"couchdb_tokens": self._token_lookups}

    @property
    def rights_revision(self) -> int:
        """A number that changes when rights may have ended: those of a token in memory, or of an account."""
        return self._revision

    async def load(self) -> None:
        """Read the accounts. While CouchDB is away, the service goes on trying."""
        await self._accounts.load()

    def startService(self) -> None:
        """Follow CouchDB."""
        super().startService()
        self._accounts.startService()

    def stopService(self) -> Deferred[None]:
        """Follow it no more, and close the connections."""
        super().stopService()
        self._secrets.stop()
        stopping = [
            maybeDeferred(self._accounts.stopService),
            Deferred.fromCoroutine(self._client.close()),
        ]
        return DeferredList(stopping, consumeErrors=True).addCallback(lambda _: None)

    async def close(self) -> None:
        """Close the connections, without the service running."""
        self._secrets.stop()
        await self._client.close()

    def problem(self) -> str | None:
        """Return why CouchDB cannot be asked; None if it can."""
        return self._accounts.problem()

    @property
    def configuration_topics(self) -> frozenset[Topic]:
        """The messages about people, and documents that have secrets, keys, settings or owners of numbers."""
        return _TOPICS

    def on_configuration_event(self, event: Event) -> None:
        """Follow a message of the exchange ``configuration``, which says that a document has changed."""
        database, document_id = event.body.get("Database"), event.body.get("ID")
        self._secrets.document_changed(database, document_id)
        self._numbers.document_changed(database, document_id)
        self._people.cache.document_changed(database)

    def on_configuration_missed(self) -> None:
        """Messages of ``configuration`` may have been missed: read everything again.

        While CouchDB does not answer, what is known serves on.
        """
        self._secrets.mark_all_old()
        self._numbers.mark_all_old()
        self._people.cache.mark_all_changed()

    def _on_account_changed(self, account_id: str) -> None:
        self._revision += 1
        self._secrets.account_changed(account_id)
        self._people.cache.account_changed(account_id)

    def _on_secrets_changed(self) -> None:
        self._revision += 1

    # -- IDirectory

    def authenticate(self, token: str) -> Deferred[Principal | None]:
        """Fire with the principal of a token that is valid now; None for any other.

        Fails with `StorageUnavailable` if that cannot be known.
        """
        if not may_be_token(token):
            return succeed(None)
        digest = sha256(token.encode("ascii")).hexdigest()
        if self._ended.has(token, self._clock.seconds()):
            return succeed(None)
        known = self._verified.get(digest, self._clock.seconds())
        if known is not None and self._still_holds(known):
            self._token_lookups.hits += 1
            return succeed(known.principal)
        parsed = known.token if known is not None else parse_token(token)
        if parsed is None or parsed.expires <= self._clock.seconds():
            return succeed(None)
        self._token_lookups.misses += 1
        return self._verify_once(digest, parsed, known)

    def is_in_doubt(self, token: str) -> bool:
        """See `ITokenDoubts`."""
        if not may_be_token(token):
            return False
        known = self._verified.get(sha256(token.encode("ascii")).hexdigest(), self._clock.seconds())
        return known is not None and self._secrets.is_in_doubt(known.token)

    def login(self, api_key: str) -> Deferred[tuple[str, Principal] | None]:
        """Create a token for the API key of an account, as KAZOO would: it is valid there, too."""
        if not self._accounts.is_loaded:
            return fail(self._not_loaded())
        return Deferred.fromCoroutine(self._logins.with_api_key(api_key))

    def log_in_user(self, credentials: Mapping[str, Any]) -> Deferred[UserLogin | None]:
        """Create a token for a user, as KAZOO would; fails with `LoginRefused`."""
        if not self._accounts.is_loaded:
            return fail(self._not_loaded())
        return Deferred.fromCoroutine(self._logins.of_user(credentials))

    def log_out(self, token: str) -> Deferred[bool]:
        """End a valid token for this node, in memory; KAZOO does not hear of it."""
        return self.authenticate(token).addCallback(self._end, token)

    def account(self, account_id: str) -> Deferred[Account | None]:
        """Fire with the account; None if it does not exist."""
        record = self._accounts.find(account_id)
        if record is not None:
            return succeed(record.to_account(self._clock.seconds()))
        return Deferred.fromCoroutine(self._fetch_account(account_id))

    def ancestors(self, account_id: str) -> tuple[str, ...] | None:
        """Return the account's ancestors, parent first; also of an account that has just been deleted."""
        return self._accounts.ancestors(account_id)

    def reseller_of(self, account_id: str) -> str | None:
        """Return the account's reseller as its document names it, else its parent."""
        record = self._accounts.find(account_id)
        if record is not None and record.reseller_id is not None:
            return record.reseller_id
        return super().reseller_of(account_id)

    def descendants(self, account_id: str) -> Deferred[frozenset[str]]:
        """Fire with the ids of all accounts below this account, at any depth."""
        return succeed(self._accounts.descendants(account_id))

    def is_superadmin(self, account_id: str) -> bool:
        """Return True if the account may act for every account now."""
        record = self._accounts.find(account_id)
        return record is not None and record.superadmin and record.is_active(self._clock.seconds())

    def account_for_number(self, number: str) -> str | None:
        """Return the account that owns a number, from memory; None also if it is disabled, like KAZOO."""
        owner = self._numbers.owner(number)
        record = None if owner is None else self._accounts.find(owner)
        return owner if record is None or record.is_active(self._clock.seconds()) else None

    def look_up_number(self, number: str) -> Deferred[None] | None:
        """Ask for the owner of a number that memory does not know."""
        return self._numbers.look_up(number)

    def sip_usernames(self, account_id: str, kind: str, member_id: str) -> Deferred[Sequence[str] | None]:
        """Read the user names of a member's devices; None for an account that is not KAZOO's."""
        if self._accounts.find(account_id) is None:
            return succeed(None)
        return Deferred.fromCoroutine(find_sip_usernames(self._client, account_id, kind, member_id))

    def people(self, account_id: str) -> Deferred[People]:
        """Fire with the people of an account; none are known of one that is not KAZOO's."""
        if self._accounts.find(account_id) is None:
            return super().people(account_id)
        return self._people.cache.get(account_id)

    def member_document(
        self, account_id: str, kind: str, member_id: str
    ) -> Deferred[Mapping[str, Any] | None]:
        """Fire with the document of a user, a device or a group, which is read each time."""
        if self._accounts.find(account_id) is None:
            return succeed(None)
        return Deferred.fromCoroutine(self._people.document(account_id, kind, member_id))

    def can_act_for(self, principal: Principal, account_id: str) -> Deferred[bool]:
        """Fire with True if `principal` may act for the account.

        It may for its own account and those below, and as super-admin for all, by what its account is now.
        """
        if self._is_too_old():
            return fail(StorageUnavailable(f"{self._client.label} is away for too long"))
        actor = self._accounts.find(principal.account_id)
        if actor is None or not actor.is_active(self._clock.seconds()):
            return succeed(False)
        if actor.superadmin or account_id == actor.id:
            return succeed(True)
        record = self._accounts.find(account_id)
        return succeed(record is not None and actor.id in record.ancestors)

    # -- tokens

    def _end(self, principal: Principal | None, token: str) -> bool:
        if principal is None:
            return False
        self._verified.discard(sha256(token.encode("ascii")).hexdigest())
        self._ended.add(token, principal.expires)
        self._revision += 1
        return True

    def _still_holds(self, known: _Verified) -> bool:
        """Return True if all that the token was verified with is new, and the same."""
        token = known.token
        record = self._accounts.find(known.principal.account_id)
        if record is None or self._is_too_old() or not self._may_act(token, record):
            return False
        return (
            record.superadmin == known.principal.superadmin
            and self._secrets.keys.peek(token.key_id) == known.key
            and (
                token.identity_signature is None
                or (
                    self._secrets.peek_settings() == known.settings
                    and self._secrets.peek_identity(token.account_id, token.identity_id) == known.identity
                )
            )
        )

    def _verify_once(
        self, digest: str, token: KazooToken, known: _Verified | None
    ) -> Deferred[Principal | None]:
        """Verify a token, once at the same time."""
        if digest not in self._verifying and len(self._verifying) >= MAX_VERIFYING:
            return fail(StorageUnavailable("too many tokens are verified just now"))
        return self._verifying.join(digest, lambda: self._verify(digest, token, known))

    async def _verify(self, digest: str, token: KazooToken, known: _Verified | None) -> Principal | None:
        if not self._accounts.is_loaded:
            raise self._not_loaded()
        if self._is_too_old():
            raise StorageUnavailable(f"{self._client.label} is away for too long")
        verified = await self._verified_with(token, known)
        if verified is None or token.expires <= self._clock.seconds():
            self._verified.discard(digest)
            return None
        self._verified.put(digest, verified, token.expires)
        return verified.principal

    async def _verified_with(self, token: KazooToken, known: _Verified | None) -> _Verified | None:
        key = await self._secrets.key(token.key_id)
        if key is None:
            return None
        if (known is None or known.key != key) and not token.is_signed_by(key):
            return None
        identity = settings = None
        if token.identity_signature is not None:
            identity = await self._secrets.identity(token.account_id, token.identity_id)
            settings = await self._secrets.auth_settings()
            if not self._secrets.accepts(token, identity, settings):
                return None
        record = await self._accounts.fetch(token.acts_as or token.account_id)
        own = await self._accounts.fetch(token.account_id)
        if record is None or own is None or not self._may_act(token, record):
            return None
        restrictions = None if token.restrictions is None else TokenRestrictions.parse(token.restrictions)
        principal = Principal(record.id, record.superadmin, token.expires, restrictions, token.user_id)
        return _Verified(principal, token, key, identity, settings)

    def _may_act(self, token: KazooToken, record: AccountRecord) -> bool:
        """Return True if the token's account may act, for itself or as `record`."""
        now, own = self._clock.seconds(), self._accounts.find(token.account_id)
        if own is None or not own.is_active(now) or not record.is_active(now):
            return False
        return record.id == own.id or own.id in record.ancestors

    # -- accounts

    async def _fetch_account(self, account_id: str) -> Account | None:
        if not self._accounts.is_loaded:
            raise self._not_loaded()
        record = await self._accounts.fetch(account_id) if is_account_id(account_id) else None
        return None if record is None else record.to_account(self._clock.seconds())

    def _realm_of(self, account_id: str) -> str | None:
        record = self._accounts.find(account_id)
        return None if record is None else record.realm

    def _not_loaded(self) -> StorageUnavailable:
        return StorageUnavailable(self._accounts.problem() or "the accounts have not been read yet")

    def _is_too_old(self) -> bool:
        away_since = self._accounts.away_since()
        return away_since is not None and self._clock.seconds() - away_since >= self._freshness.usable
