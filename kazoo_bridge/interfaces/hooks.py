"""Hooks and the limits of accounts, as they are stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from zope.interface import Interface

from kazoo_bridge.static_frozen import statically_frozen

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class StorageUnavailable(Exception):
    """The storage did not answer, or refused for a reason of its own. Trying again later may succeed."""


class StorageUnusable(StorageUnavailable):
    """The storage cannot be used until the configuration or the database is changed."""


@frozen
class Secret:
    """A secret that a hook's requests are signed with.

    `value`: ``whsec_…`` or ``whsk_…``. `expires`: the end of its validity in Unix seconds; None: it has none.
    """

    value: str = field(repr=False)
    expires: float | None = None


@frozen
class Suspension:
    """The state of a hook that is disabled because of failures until its receiver recovers.

    `since`: when the hook was disabled. `next_probe`: when its receiver is tried again. Both in Unix seconds.

    `probes`: the number of probes so far.
    """

    since: float
    next_probe: float
    probes: int = 0


@statically_frozen
class StoredHook:
    """A hook document as it is stored.

    `id`: 32 hexadecimal characters. `account_id`: the account that the hook belongs to.

    `document`: the public JSON object.

    `revision`: changes with every write.

    `created` and `modified`: times in Gregorian seconds.

    `secrets`: the newest first. They are not part of the document, and no client sees them.

    `suspension`: None unless the hook is suspended, which is a state of disabled hooks only.

    `headers`: the values of the hook's own request headers, by name in lower case. No client sees them; the
    document has a mask for each.
    """

    id: str
    account_id: str
    document: Mapping[str, Any]
    revision: str
    created: int
    modified: int
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    suspension: Suspension | None = None


class RevisionConflict(Exception):
    """The document has changed since the caller read it."""


class TooManyHooks(Exception):
    """The account already has `limit` hooks, which is the largest number permitted."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"an account may have {limit} hooks")
        self.limit = limit


@frozen
class HookAuthor:
    """The account, and the user if there is one, whose token has changed a hook, and with which request."""

    account_id: str
    user_id: str | None = None
    request_id: str | None = None


class IHookStore(Interface):
    """Stores hook documents by account and id. All methods fail with `StorageUnavailable`."""

    def batch(after: int, count: int) -> Deferred[tuple[list[StoredHook], int]]:
        """List the hooks that follow a position, oldest first, at most `count`.

        `after`: 0 for the first hooks, then the position that the last batch came with. Fires with the hooks
        and the position of the last of them; no hooks: there are no more.
        """

    def by_ids(hook_ids: Collection[str]) -> Deferred[list[StoredHook]]:
        """List the hooks with these ids, in any order. Unknown ids are left out."""

    def for_account(account_id: str) -> Deferred[list[StoredHook]]:
        """List the account's hooks, in the order in which they were created."""

    def for_accounts(account_ids: Collection[str]) -> Deferred[list[StoredHook]]:
        """List the hooks of these accounts, in any order."""

    def get(account_id: str, hook_id: str) -> Deferred[StoredHook | None]:
        """Return one hook of the account, or None."""

    def create(
        account_id: str,
        document: Mapping[str, Any],
        secrets: tuple[Secret, ...] = (),
        headers: Mapping[str, str] | None = None,
        *,
        author: HookAuthor | None = None,
    ) -> Deferred[StoredHook]:
        """Store a new hook under a fresh id. `author`: as for `replace`.

        Fails with `TooManyHooks` if the account has the largest number of hooks, counted over all nodes.
        """

    def replace(
        hook: StoredHook,
        document: Mapping[str, Any],
        secrets: tuple[Secret, ...] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        suspension: Suspension | None = None,
        author: HookAuthor | None = None,
    ) -> Deferred[StoredHook]:
        """Replace the document of `hook`, its secrets, the values of its headers, and its suspension.

        None for secrets or headers: they stay; for the suspension: it ends. `author`: who has asked for it,
        for stores that keep that; None: the service itself.

        Fails with `RevisionConflict` if `hook` is not the current revision.
        """

    def delete(hook: StoredHook, *, author: HookAuthor | None = None, soft: bool = True) -> Deferred[None]:
        """Delete the hook. Fails with `RevisionConflict` if `hook` is not the current revision.

        `soft`: a store of KAZOO's documents keeps the document, marked as deleted; others keep nothing in
        any case. `author`: as for `replace`.
        """

    def delete_of_account(account_id: str) -> Deferred[int]:
        """Delete all hooks of an account that has been deleted; fire with their number."""

    def due_probes(now: float) -> Deferred[list[StoredHook]]:
        """List suspended hooks whose probe is due at `now` (Unix seconds) and that have a held delivery.

        The hooks that wait longest come first. Their number is bounded; the others are due the next time.
        """

    def claim_probe(hook: StoredHook, next_probe: float) -> Deferred[bool]:
        """Count a probe of `hook`, a result of `due_probes`, and postpone the next one to `next_probe`.

        Fires with True for exactly one of the nodes that claim the same probe. `next_probe` is in Unix
        seconds. The revision does not change.
        """

    def return_probe(hook: StoredHook, next_probe: float) -> Deferred[None]:
        """Uncount a probe that was claimed from the state `hook` and was not made.

        The next one is due at `next_probe` (Unix seconds). Does nothing if the hook has changed since.
        """


#: The largest value of each of an account's own limits: a week, in milliseconds.
MAX_ACCOUNT_LIMIT = 7 * 86400 * 1000


@frozen
class AccountLimits:
    """An account's own limits for the failures of its hooks. None: the configuration's limit applies.

    `attempt_failure_count`: the number of failed attempts that disables a hook.

    `attempt_failure_expiry_ms`: the milliseconds for which a failed attempt counts.
    """

    attempt_failure_count: int | None = None
    attempt_failure_expiry_ms: int | None = None


class ILimitStore(Interface):
    """Stores accounts' own limits. All methods fail with `StorageUnavailable`."""

    def get(account_id: str) -> Deferred[AccountLimits]:
        """Return the account's own limits."""

    def put(account_id: str, limits: AccountLimits) -> Deferred[None]:
        """Replace the account's own limits."""

    def shortest_expiry_ms() -> Deferred[int | None]:
        """Return the smallest ``attempt_failure_expiry_ms`` of all accounts; None if there is none."""
