"""What every kind of directory is: a service that denies by default, and says what it cannot do just now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from kazoo_bridge.directory.ttl_cache import CacheLookups
from kazoo_bridge.interfaces import (
    UNKNOWN_PEOPLE,
    Account,
    IDirectory,
    IPeople,
    ISipUsernames,
    People,
    Principal,
    Topic,
    UserLogin,
)
from kazoo_bridge.kazoo import Event


@implementer(IDirectory, IPeople, ISipUsernames)
class BaseDirectory(Service):
    """A directory that knows nothing and allows nothing; a kind overrides what it knows.

    The node calls `load`, then `startService`, and `stopService` in the end. `on_change` follows the change
    feed of the storage.
    """

    @property
    def rights_revision(self) -> int:
        """A number that changes when rights may have ended: those of a token in memory, or of an account."""
        return 0

    @property
    def cache_lookups(self) -> Mapping[str, CacheLookups]:
        """What the caches have known, by name; empty without a cache."""
        return {}

    def stopService(self) -> Deferred[None]:
        """Stop; fires when nothing is under way any more."""
        super().stopService()
        return succeed(None)

    async def close(self) -> None:
        """Close what is open without the service running, for commands that only `load`."""

    async def load(self) -> None:
        """Read what is kept in memory. Raises `StorageUnavailable` if the node cannot start without it."""

    def on_change(self, kind: str, subjects: frozenset[str]) -> Deferred[None] | None:
        """Follow a change in the storage; a subscriber of the change feed."""
        return None

    @property
    def configuration_topics(self) -> frozenset[Topic]:
        """The messages of KAZOO's that `on_configuration_event` follows."""
        return frozenset()

    def on_configuration_event(self, event: Event) -> None:
        """Follow a message that says that a document of KAZOO has changed."""

    def on_configuration_missed(self) -> None:
        """Follow that such messages may have been missed."""

    def problem(self) -> str | None:
        """Return why the directory cannot work at all; None if it can."""
        return None

    def degraded(self) -> list[str]:
        """Return what the directory cannot do just now although it works."""
        return []

    # -- IDirectory

    def authenticate(self, token: str) -> Deferred[Principal | None]:
        """Fire with the token's principal, or None."""
        return succeed(None)

    def login(self, api_key: str) -> Deferred[tuple[str, Principal] | None]:
        """Fire with a new token and its principal, or None if the API key is not known."""
        return succeed(None)

    def log_in_user(self, credentials: Mapping[str, Any]) -> Deferred[UserLogin | None]:
        """Fire with None: there are no users."""
        return succeed(None)

    def log_out(self, token: str) -> Deferred[bool]:
        """End a token; fires with False if it cannot be ended here."""
        return succeed(False)

    def account(self, account_id: str) -> Deferred[Account | None]:
        """Fire with the account, or None if it is unknown."""
        return succeed(None)

    def ancestors(self, account_id: str) -> tuple[str, ...] | None:
        """Return the account's ancestors, parent first; None if the account is not in memory."""
        return None

    def reseller_of(self, account_id: str) -> str | None:
        """Return the account's reseller, from memory: its parent, unless the directory knows better."""
        ancestors = self.ancestors(account_id)
        return ancestors[0] if ancestors else None

    def descendants(self, account_id: str) -> Deferred[frozenset[str]]:
        """Fire with the ids of all accounts below this account, at any depth."""
        return succeed(frozenset())

    def is_superadmin(self, account_id: str) -> bool:
        """Return True if the account is known in memory as one of super-admins."""
        return False

    def account_for_number(self, number: str) -> str | None:
        """Return the id of the account that owns a phone number, from memory."""
        return None

    def look_up_number(self, number: str) -> Deferred[Any] | None:
        """Ask the source for the owner of a number that memory does not know.

        None: what `account_for_number` returns is final. Else a Deferred that fires when it is.
        """
        return None

    def can_act_for(self, principal: Principal, account_id: str) -> Deferred[bool]:
        """Fire with True if `principal` may act for the account."""
        return succeed(False)

    # -- IPeople, ISipUsernames

    def people(self, account_id: str) -> Deferred[People]:
        """Fire with the people of the account: none are known."""
        return succeed(UNKNOWN_PEOPLE)

    def member_document(
        self, account_id: str, kind: str, member_id: str
    ) -> Deferred[Mapping[str, Any] | None]:
        """Fire with the document of a user, a device or a group: none is known."""
        return succeed(None)

    def sip_usernames(self, account_id: str, kind: str, member_id: str) -> Deferred[Sequence[str] | None]:
        """Fire with the user names of a member's devices, by what `people` knows; None if that is nothing."""

        def names(people: People) -> Sequence[str] | None:
            devices = people.devices_of(kind, member_id)
            return (
                sorted({one.sip_username for one in devices if one.sip_username}) if people.is_known else None
            )

        return self.people(account_id).addCallback(names)
