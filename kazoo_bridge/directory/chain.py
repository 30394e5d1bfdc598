"""Several directories asked in order: the first that knows answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from attrs import evolve
from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred
from zope.interface import implementer

from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.directory.ttl_cache import CacheLookups
from kazoo_bridge.interfaces import (
    UNKNOWN_PEOPLE,
    Account,
    IDirectory,
    IQuickcall,
    ITokenDoubts,
    People,
    Principal,
    StorageUnavailable,
    Topic,
    UserLogin,
)
from kazoo_bridge.kazoo import Event

T = TypeVar("T")


@implementer(IDirectory, IQuickcall, ITokenDoubts)
class DirectoryChain(BaseDirectory):
    """Asks several directories in order.

    A token, an API key and an account belong to the first directory that knows them. A directory that is
    unavailable hides no answer of another: the chain fails with `StorageUnavailable` only if no other one
    knows. What an account is (its ancestors, whether it is of super-admins) is decided by the directory that
    knows the account, whichever directory has authenticated the token.
    """

    def __init__(
        self, directories: Sequence[BaseDirectory], accounts: Sequence[BaseDirectory] | None = None
    ) -> None:
        """Ask `directories` about tokens, and `accounts` (None: the same) about accounts and numbers."""
        self._directories = tuple(directories)
        self._accounts = self._directories if accounts is None else tuple(accounts)
        self._services = MultiService()
        for directory in self._directories:
            self._services.addService(directory)

    @property
    def rights_revision(self) -> int:
        """A number that changes when the revision of any directory does, which only grow."""
        return sum(directory.rights_revision for directory in self._directories)

    @property
    def cache_lookups(self) -> Mapping[str, CacheLookups]:
        """The lookups of every directory."""
        return {name: one for directory in self._directories for name, one in directory.cache_lookups.items()}

    async def load(self) -> None:
        """Load every directory. Raises `StorageUnavailable` for the first that cannot be loaded."""
        for directory in self._directories:
            await directory.load()

    async def close(self) -> None:
        """Close every directory."""
        for directory in self._directories:
            await directory.close()

    def startService(self) -> None:
        """Start every directory."""
        super().startService()
        self._services.startService()

    def stopService(self) -> Deferred[None]:
        """Stop every directory; fires when all have."""
        super().stopService()
        stopped: Deferred[None] = self._services.stopService().addCallback(lambda _: None)
        return stopped

    def on_change(self, kind: str, subjects: frozenset[str]) -> Deferred[None] | None:
        """Let every directory follow the change."""
        following = [directory.on_change(kind, subjects) for directory in self._directories]
        return _when_all(one for one in following if one is not None)

    @property
    def configuration_topics(self) -> frozenset[Topic]:
        """The messages of KAZOO's that any directory follows."""
        return frozenset[Topic]().union(*(directory.configuration_topics for directory in self._directories))

    def on_configuration_event(self, event: Event) -> None:
        """Let every directory follow the message."""
        for directory in self._directories:
            directory.on_configuration_event(event)

    def on_configuration_missed(self) -> None:
        """Let every directory follow that messages may have been missed."""
        for directory in self._directories:
            directory.on_configuration_missed()

    def problem(self) -> str | None:
        """Return why directories cannot work at all; their other answers remain."""
        return "; ".join(filter(None, (directory.problem() for directory in self._directories))) or None

    def degraded(self) -> list[str]:
        """Return what any directory cannot do just now."""
        return [text for directory in self._directories for text in directory.degraded()]

    # -- IDirectory

    def authenticate(self, token: str) -> Deferred[Principal | None]:
        """Fire with the principal of the first directory that knows the token.

        None also if no directory knows its account, or the account is disabled.
        """
        return Deferred.fromCoroutine(self._authenticate(token))

    def is_in_doubt(self, token: str) -> bool:
        """See `ITokenDoubts`: any directory may have verified the token."""
        doubting = [directory for directory in self._directories if ITokenDoubts.providedBy(directory)]
        return any(ITokenDoubts(directory).is_in_doubt(token) for directory in doubting)

    def login(self, api_key: str) -> Deferred[tuple[str, Principal] | None]:
        """Fire with a token of the first directory that knows the API key, and its principal."""
        return Deferred.fromCoroutine(_first(self._directories, lambda directory: directory.login(api_key)))

    def log_in_user(self, credentials: Mapping[str, Any]) -> Deferred[UserLogin | None]:
        """Fire with the login at the first directory that has users. Fails with its `LoginRefused`."""
        return Deferred.fromCoroutine(
            _first(self._directories, lambda directory: directory.log_in_user(credentials))
        )

    def log_out(self, token: str) -> Deferred[bool]:
        """End a token in every directory; fires with True if one could."""
        return Deferred.fromCoroutine(self._log_out(token))

    def account(self, account_id: str) -> Deferred[Account | None]:
        """Fire with the account as the first directory that knows it has it."""
        return Deferred.fromCoroutine(_first(self._accounts, lambda directory: directory.account(account_id)))

    def ancestors(self, account_id: str) -> tuple[str, ...] | None:
        """Return the account's ancestors from the first directory that has the account in memory."""
        for directory in self._accounts:
            ancestors = directory.ancestors(account_id)
            if ancestors is not None:
                return ancestors
        return None

    def reseller_of(self, account_id: str) -> str | None:
        """Return the account's reseller from the first directory that has the account in memory."""
        for directory in self._accounts:
            if directory.ancestors(account_id) is not None:
                return directory.reseller_of(account_id)
        return None

    def descendants(self, account_id: str) -> Deferred[frozenset[str]]:
        """Fire with the accounts below, as the directory that knows the account has them."""
        return Deferred.fromCoroutine(self._descendants(account_id))

    def is_superadmin(self, account_id: str) -> bool:
        """Return True if the first directory that has the account in memory says so."""
        for directory in self._accounts:
            if directory.ancestors(account_id) is not None:
                return directory.is_superadmin(account_id)
        return False

    def account_for_number(self, number: str) -> str | None:
        """Return the owner from the first directory that has one in memory."""
        for directory in self._accounts:
            owner = directory.account_for_number(number)
            if owner is not None:
                return owner
        return None

    def look_up_number(self, number: str) -> Deferred[None] | None:
        """Let the directories ask for the owner; None if the number is known, or no directory would ask."""
        if self.account_for_number(number) is not None:
            return None
        asking = [directory.look_up_number(number) for directory in self._accounts]
        return _when_all(one for one in asking if one is not None)

    def people(self, account_id: str) -> Deferred[People]:
        """Fire with the people from the first directory that knows some of the account."""
        return Deferred.fromCoroutine(self._find_people(account_id))

    def member_document(
        self, account_id: str, kind: str, member_id: str
    ) -> Deferred[Mapping[str, Any] | None]:
        """Fire with the document of a member from the first directory that has it."""
        return Deferred.fromCoroutine(
            _first(self._accounts, lambda directory: directory.member_document(account_id, kind, member_id))
        )

    def sip_usernames(self, account_id: str, kind: str, member_id: str) -> Deferred[Sequence[str] | None]:
        """Fire with the user names from the first directory that knows the account's devices."""
        return Deferred.fromCoroutine(
            _first(self._accounts, lambda directory: directory.sip_usernames(account_id, kind, member_id))
        )

    def quickcall(
        self, account_id: str, kind: str, member_id: str, number: str, options: Mapping[str, str]
    ) -> Deferred[Sequence[str] | None]:
        """Let the first directory make the call that can, and knows the user or device."""
        able = [directory for directory in self._accounts if IQuickcall.providedBy(directory)]

        def ask(directory: Any) -> Deferred[Sequence[str] | None]:
            ids: Deferred[Sequence[str] | None] = directory.quickcall(
                account_id, kind, member_id, number, options
            )
            return ids

        return Deferred.fromCoroutine(_first(able, ask))

    def can_act_for(self, principal: Principal, account_id: str) -> Deferred[bool]:
        """Fire with True if `principal` may act for the account.

        It may for its own account and the accounts below, whichever directory knows them, and as super-admin
        for all. Its account must exist and be enabled.
        """
        return Deferred.fromCoroutine(self._can_act_for(principal, account_id))

    async def _find_people(self, account_id: str) -> People:
        def ask(directory: BaseDirectory) -> Deferred[People | None]:
            return directory.people(account_id).addCallback(
                lambda people: people if people.is_known else None
            )

        return await _first(self._accounts, ask) or UNKNOWN_PEOPLE

    async def _authenticate(self, token: str) -> Principal | None:
        principal = await _first(self._directories, lambda directory: directory.authenticate(token))
        if principal is None:
            return None
        account = await self.account(principal.account_id)
        if account is None or not account.enabled:
            return None
        return evolve(principal, superadmin=account.superadmin)

    async def _log_out(self, token: str) -> bool:
        unavailable, ended = None, False
        for directory in self._directories:
            try:
                ended = await directory.log_out(token) or ended
            except StorageUnavailable as error:
                unavailable = error
        if unavailable is not None:
            raise unavailable
        return ended

    async def _descendants(self, account_id: str) -> frozenset[str]:
        unavailable = None
        for directory in self._accounts:
            try:
                if await directory.account(account_id) is not None:
                    return await directory.descendants(account_id)
            except StorageUnavailable as error:
                unavailable = error
        if unavailable is not None:
            raise unavailable
        return frozenset()

    async def _can_act_for(self, principal: Principal, account_id: str) -> bool:
        actor = await self.account(principal.account_id)
        if actor is None or not actor.enabled:
            return False
        if actor.superadmin or actor.id == account_id:
            return True
        account = await self.account(account_id)
        return account is not None and actor.id in account.ancestors


async def _first(
    directories: Iterable[BaseDirectory], ask: Callable[[BaseDirectory], Deferred[T | None]]
) -> T | None:
    """Return the first answer that is not None.

    Raises `StorageUnavailable` if there is none and a directory could not answer.
    """
    unavailable = None
    for directory in directories:
        try:
            answer = await ask(directory)
        except StorageUnavailable as error:
            unavailable = error
        else:
            if answer is not None:
                return answer
    if unavailable is not None:
        raise unavailable
    return None


def _when_all(waiting: Iterable[Deferred[None]]) -> Deferred[None] | None:
    """Return a Deferred that fires when all have fired, with the first failure if any; None for none."""
    waiting = list(waiting)
    return Deferred.fromCoroutine(_wait(waiting)) if waiting else None


async def _wait(waiting: Sequence[Deferred[None]]) -> None:
    errors = []
    for one in waiting:
        try:
            await one
        except CancelledError:
            for other in waiting:
                other.addErrback(lambda _: None).cancel()
            raise
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]
