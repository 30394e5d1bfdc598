"""An `IDirectory` that asks crossbar, and remembers what it has said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, cast
from urllib.parse import quote, urlencode

from attrs import evolve
from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kazoo_bridge.config import Config, Crossbar
from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.directory.crossbar.answer_cache import AnswerCache, CacheTimes
from kazoo_bridge.directory.crossbar.answers import (
    TokenClaims,
    is_token,
    read_account,
    read_ancestors,
    read_claims,
    read_descendants,
    read_login,
    read_owner,
    read_quickcall,
    read_refusal,
    unexpected,
)
from kazoo_bridge.directory.crossbar.api_session import ApiSession
from kazoo_bridge.directory.crossbar.availability import Availability
from kazoo_bridge.directory.crossbar.http_client import CrossbarAnswer, CrossbarClient
from kazoo_bridge.directory.crossbar.people import CrossbarPeople
from kazoo_bridge.directory.ended_tokens import EndedTokens
from kazoo_bridge.directory.people_cache import PEOPLE_TOPICS
from kazoo_bridge.directory.ttl_cache import CacheLookups
from kazoo_bridge.interfaces import (
    Account,
    IDirectory,
    IQuickcall,
    LoginRefused,
    People,
    Principal,
    StorageUnavailable,
    Topic,
    UserLogin,
)
from kazoo_bridge.kazoo import Event, is_account_id

_log = Logger()

#: Entries of each cache.
MAX_TOKENS, MAX_ACCOUNTS, MAX_NUMBERS = 20_000, 100_000, 100_000

#: Seconds after which a token that was refused, or an unknown account, is asked for again.
UNKNOWN_TTL = 5.0

#: Seconds after which a number without an owner is asked for again: most numbers that are called have none.
UNKNOWN_NUMBER_TTL = 600.0

#: Seconds for which a token without an end is remembered as logged out.
ENDED_TTL = 86_400.0

#: Seconds between two attempts to reach a crossbar that does not answer.
PROBE_INTERVAL = 10.0

#: Accounts of a page, and pages, of the accounts below another one.
PAGE_SIZE, MAX_PAGES = 500, 400


@implementer(IDirectory, IQuickcall)
class CrossbarDirectory(BaseDirectory):
    """Tokens are good if crossbar says so; accounts are read with the API key of an account above them all.

    While crossbar does not answer, what is known counts for a while longer, and the rest fails with
    `StorageUnavailable`.
    """

    def __init__(self, clock: IReactorTime, settings: Crossbar, client: CrossbarClient) -> None:
        """Ask nothing yet."""
        self._clock = clock
        self._client = client
        self._availability = client.availability
        self._session = ApiSession(clock, client, settings.api_key)
        self._revision = 0
        times = CacheTimes(settings.cache_s, settings.max_stale_s, UNKNOWN_TTL)
        number_times = evolve(times, unknown=UNKNOWN_NUMBER_TTL)
        self._claims: AnswerCache[TokenClaims] = self._make_cache(times, MAX_TOKENS)
        self._accounts: AnswerCache[Account] = self._make_cache(times, MAX_ACCOUNTS)
        self._owners: AnswerCache[str] = self._make_cache(number_times, MAX_NUMBERS)
        self._ended = EndedTokens(MAX_TOKENS)
        self._people = CrossbarPeople(clock, self._session, settings.max_stale_s, self.account)
        self._probe = TimerService(PROBE_INTERVAL, self._look)
        self._probe.clock = clock

    @classmethod
    def from_config(cls, reactor: Any, config: Config) -> CrossbarDirectory:
        """Make the directory of the section ``crossbar``."""
        settings = config.crossbar
        client = CrossbarClient(
            reactor,
            settings.uri,
            Availability(reactor),
            timeout=settings.request_timeout_ms / 1000,
            max_requests=settings.max_requests,
        )
        return cls(reactor, settings, client)

    def _make_cache(self, times: CacheTimes, limit: int) -> AnswerCache[Any]:
        return AnswerCache(self._clock, self._availability, times, limit, self._on_ended)

    @property
    def cache_lookups(self) -> Mapping[str, CacheLookups]:
        """The lookups of tokens, accounts and numbers."""
        caches: Mapping[str, AnswerCache[Any]] = {
            "crossbar_tokens": self._claims,
            "crossbar_accounts": self._accounts,
            "crossbar_numbers": self._owners,
        }
        return {name: cache.lookups for name, cache in caches.items()}

    @property
    def rights_revision(self) -> int:
        """A number that changes when a token or an account in memory is no longer what it was."""
        return self._revision

    def startService(self) -> None:
        """Log in, and look for crossbar while it does not answer."""
        super().startService()
        self._probe.startService()

    def stopService(self) -> Deferred[None]:
        """Give up all requests, and close the connections."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def close(self) -> None:
        """Give up all requests, and close the connections, without the service running."""
        await self._client.close()

    def problem(self) -> str | None:
        """Return why no client can be authenticated."""
        if self._session.problem is not None:
            return self._session.problem
        if self._availability.has_answered:
            return None
        return f"crossbar has not answered yet ({self._availability.reason or 'it is being asked'})"

    def degraded(self) -> list[str]:
        """Return that crossbar does not answer, and why; what is known counts for a while."""
        reason = self._availability.reason
        return [reason] if reason is not None and self._availability.has_answered else []

    @property
    def configuration_topics(self) -> frozenset[Topic]:
        """The messages about changed users, devices, groups and callflows."""
        return PEOPLE_TOPICS

    def on_configuration_event(self, event: Event) -> None:
        """Follow a message of the exchange ``configuration``, which says that a document has changed."""
        self._people.cache.document_changed(event.body.get("Database"))

    def on_configuration_missed(self) -> None:
        """Messages of ``configuration`` may have been missed: ask for people again."""
        self._people.cache.mark_all_changed()

    # -- IDirectory, IPeople

    def people(self, account_id: str) -> Deferred[People]:
        """Fire with the people of an account, which crossbar is asked for when they may have changed."""
        return self._people.cache.get(account_id) if is_account_id(account_id) else super().people(account_id)

    def member_document(
        self, account_id: str, kind: str, member_id: str
    ) -> Deferred[Mapping[str, Any] | None]:
        """Fire with the document of a user, a device or a group, which crossbar is asked for each time."""
        if not is_account_id(account_id):
            return succeed(None)
        return Deferred.fromCoroutine(self._people.document(account_id, kind, member_id))

    def authenticate(self, token: str) -> Deferred[Principal | None]:
        """Fire with the principal of a token that crossbar accepts, and whose account is enabled."""
        if not is_token(token):
            return succeed(None)
        return Deferred.fromCoroutine(self._authenticate(token))

    def login(self, api_key: str) -> Deferred[tuple[str, Principal] | None]:
        """Fire with a token of crossbar for an API key, and its principal."""
        if not is_token(api_key):
            return succeed(None)
        return Deferred.fromCoroutine(self._log_in(api_key))

    def log_in_user(self, credentials: Mapping[str, Any]) -> Deferred[UserLogin | None]:
        """Fire with the login of a user at crossbar; fails with `LoginRefused` as crossbar answers."""
        return Deferred.fromCoroutine(self._log_in_user(credentials))

    def log_out(self, token: str) -> Deferred[bool]:
        """End a token at crossbar, and for this node also where crossbar cannot; False if it is not known."""
        return Deferred.fromCoroutine(self._log_out(token)) if is_token(token) else succeed(False)

    def account(self, account_id: str) -> Deferred[Account | None]:
        """Fire with the account; None if it does not exist below the account of the API key."""
        if not is_account_id(account_id):
            return succeed(None)
        return self._accounts.get(account_id, lambda: self._read_account(account_id))

    def ancestors(self, account_id: str) -> tuple[str, ...] | None:
        """Return the account's ancestors from memory, parent first."""
        account = self._accounts.peek(account_id)
        return None if account is None else account.ancestors

    def descendants(self, account_id: str) -> Deferred[frozenset[str]]:
        """Fire with the ids of all accounts below this account, which crossbar is asked for each time."""
        if not is_account_id(account_id):
            return succeed(frozenset())
        return Deferred.fromCoroutine(self._read_descendants(account_id))

    def is_superadmin(self, account_id: str) -> bool:
        """Return True if the account is known in memory as one of super-admins, and enabled."""
        account = self._accounts.peek(account_id)
        return account is not None and account.superadmin and account.enabled

    def account_for_number(self, number: str) -> str | None:
        """Return the id of the account that owns a phone number, from memory."""
        return self._owners.peek(number)

    def look_up_number(self, number: str) -> Deferred[Any] | None:
        """Ask for the owner of a number that memory does not know, and has not been asked for just now.

        KAZOO converts the number to E.164 itself.
        """
        digits = number.removeprefix("+")
        if self._owners.is_fresh(number) or not (digits.isascii() and digits.isdigit()):
            return None
        return self._owners.get(number, lambda: self._read_owner(number))

    def can_act_for(self, principal: Principal, account_id: str) -> Deferred[bool]:
        """Fire with True for the principal's account, the accounts below it, and as super-admin for all."""
        return Deferred.fromCoroutine(self._can_act_for(principal, account_id))

    def quickcall(
        self, account_id: str, kind: str, member_id: str, number: str, options: Mapping[str, str]
    ) -> Deferred[Sequence[str] | None]:
        """Let crossbar make a call from a user's or a device's telephones, see `IQuickcall`."""
        if not is_account_id(account_id):
            return succeed(None)
        path = (
            f"/accounts/{account_id}/{kind}s/{quote(member_id, safe='')}/quickcall/{quote(number, safe='')}"
        )
        return Deferred.fromCoroutine(self._quickcall(f"{path}?{urlencode(options)}"))

    async def _quickcall(self, path: str) -> Sequence[str] | None:
        # A GET that makes a call: sent twice, the telephones would ring twice.
        return read_quickcall(await self._session.get(path, repeatable=False))

    async def _authenticate(self, token: str) -> Principal | None:
        digest = sha256(token.encode("ascii")).hexdigest()
        if self._ended.has(token, self._clock.seconds()):
            return None
        claims = await self._claims.get(digest, lambda: self._read_claims(token))
        if claims is None or (claims.expires is not None and claims.expires <= self._clock.seconds()):
            return None
        account = await self.account(claims.account_id)
        if account is None or not account.enabled:
            return None
        return Principal(account.id, account.superadmin, claims.expires, claims.restrictions, claims.user_id)

    async def _log_in(self, api_key: str) -> tuple[str, Principal] | None:
        answer = await self._client.request("PUT", "/api_auth", body={"data": {"api_key": api_key}})
        login = read_login(answer)
        if login is None:
            return None
        principal = await self._authenticate(login[0])
        return None if principal is None else (login[0], principal)

    async def _log_in_user(self, credentials: Mapping[str, Any]) -> UserLogin:
        answer = await self._client.request("PUT", "/user_auth", body={"data": credentials})
        if not answer.is_success:
            raise read_refusal(answer)
        login = read_login(answer)
        principal = None if login is None else await self._authenticate(login[0])
        if login is None or principal is None:
            raise LoginRefused(401, "invalid_credentials", {"message": "invalid credentials"})
        return UserLogin(login[0], principal, answer.data)

    async def _log_out(self, token: str) -> bool:
        principal = await self._authenticate(token)
        if principal is None:
            return False
        await self._client.request("DELETE", "/token_auth", token=token)
        # Crossbar cannot delete tokens that are signed: they stay valid there until they expire.
        digest = sha256(token.encode("ascii")).hexdigest()
        self._claims.discard(digest)
        self._ended.add(token, principal.expires or self._clock.seconds() + ENDED_TTL)
        return True

    async def _can_act_for(self, principal: Principal, account_id: str) -> bool:
        actor = await self.account(principal.account_id)
        if actor is None or not actor.enabled:
            return False
        if actor.superadmin or actor.id == account_id:
            return True
        account = await self.account(account_id)
        return account is not None and actor.id in account.ancestors

    async def _read_claims(self, token: str) -> TokenClaims | None:
        return read_claims(await self._client.request("GET", "/token_auth", token=token), token)

    async def _read_account(self, account_id: str) -> Account | None:
        path = f"/accounts/{account_id}"
        both = [Deferred.fromCoroutine(self._session.get(one)) for one in (path, f"{path}/tree")]
        results = await DeferredList(both, consumeErrors=True)
        described, tree = (_answer(result) for _, result in results)
        account = read_account(described, account_id)
        if account is None:
            _log.info(
                "account not readable with crossbar.api_key account_id={account_id}", account_id=account_id
            )
            return None
        ancestors = read_ancestors(tree, account_id)
        if not ancestors and account_id != await self._session.account_id():
            # KAZOO shows the tree from the account of the API key down: none if that is not in it.
            ancestors = read_ancestors(await self._session.get(f"{path}/parents"), account_id)
        return evolve(account, ancestors=ancestors)

    async def _read_descendants(self, account_id: str) -> frozenset[str]:
        base = f"/accounts/{account_id}/descendants?page_size={PAGE_SIZE}"
        found: set[str] = set()
        path = base
        for _ in range(MAX_PAGES):
            page, following = read_descendants(await self._session.get(path))
            found.update(page)
            if following is None:
                return frozenset(found - {account_id})
            path = f"{base}&start_key={quote(following, safe='')}"
        raise unexpected(f"an end after {MAX_PAGES} pages")

    async def _read_owner(self, number: str) -> str | None:
        own = await self._session.account_id()
        path = f"/accounts/{own}/phone_numbers/{quote(number, safe='')}/identify"
        return read_owner(await self._session.get(path))

    async def _look(self) -> None:
        """Ask crossbar for the account of the API key if it has not answered lately."""
        if self.problem() is None and not self.degraded():
            return
        try:
            await self._session.get(f"/accounts/{await self._session.account_id()}")
        except StorageUnavailable as error:
            _log.debug("crossbar still not usable reason={reason}", reason=error)

    async def _stop(self) -> None:
        await self._client.close()
        await maybeDeferred(self._probe.stopService)

    def _on_ended(self) -> None:
        self._revision += 1


def _answer(result: CrossbarAnswer | Failure) -> CrossbarAnswer:
    """Return an answer, or raise why there is none."""
    if isinstance(result, Failure):
        raise cast(Exception, result.value)
    return result
