"""Webhooks as REST sees them: hooks, what was sent to them, what waits, and the limits of accounts."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from kazoo_bridge.interfaces.attempts import StoredAttempt
    from kazoo_bridge.interfaces.deliveries import StoredDelivery
    from kazoo_bridge.interfaces.hooks import AccountLimits, HookAuthor, StoredHook


class InvalidDocument(Exception):
    """A hook document is refused; `errors` maps fields to rules to details, like REST's validation errors."""

    def __init__(self, errors: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        super().__init__(", ".join(sorted(errors)))
        self.errors = errors


class NoSample(Exception):
    """No sample exists for the hook; the text names the reason."""


class TooManySamples(Exception):
    """The account, or the hook, has requested too many samples.

    `retry_after` is the time until it may request one again, in whole seconds.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


class UnknownAttempt(Exception):
    """There is no such attempt."""


class NotReplayable(Exception):
    """The attempt cannot be replayed; the text names the reason."""


class IWebhooks(Interface):
    """The webhooks of all accounts. The caller has checked that the client may act for the account.

    Every method that returns an awaitable may fail with `StorageUnavailable`.
    """

    hook_types = Attribute("Sequence[HookType]: the types of hooks that can be created")
    document_schema = Attribute("Mapping[str, Any]: the JSON schema of hook documents")
    secret_schemas = Attribute(
        "Mapping[str, Any]: JSON schemas of the keys ``secret``, ``signature`` and"
        " ``secret_overlap_seconds``, which a written document may have and a stored one has not"
    )

    def hooks(account_id: str) -> Awaitable[list[StoredHook]]:
        """Return the account's hooks, oldest first."""

    def hook(account_id: str, hook_id: str) -> Awaitable[StoredHook | None]:
        """Return one hook of the account; None if the account has no hook of that id."""

    def create_hook(
        account_id: str, document: Mapping[str, Any], author: HookAuthor | None = None
    ) -> Awaitable[StoredHook]:
        """Create a hook from a document. `author`: who asks for it, here and below.

        Fails with `InvalidDocument`, or with `TooManyHooks` at the account's limit.
        """

    def replace_hook(
        hook: StoredHook, document: Mapping[str, Any], author: HookAuthor | None = None
    ) -> Awaitable[StoredHook]:
        """Replace the whole document of `hook`; returns the hook at its new revision.

        Fails with `InvalidDocument`, or with `RevisionConflict` if `hook` is not the current revision.
        """

    def patch_hook(
        hook: StoredHook, changes: Mapping[str, Any], author: HookAuthor | None = None
    ) -> Awaitable[StoredHook]:
        """Merge `changes` into the hook's document at every depth; null removes a key.

        Fails like `replace_hook`.
        """

    def delete_hook(
        hook: StoredHook, author: HookAuthor | None = None, *, soft: bool = True
    ) -> Awaitable[None]:
        """Delete the hook; `soft`: see `IHookStore`. Fails with `RevisionConflict`."""

    def update_secret(
        hook: StoredHook, changes: Mapping[str, Any], author: HookAuthor | None = None
    ) -> Awaitable[StoredHook]:
        """Change the secret that signs the hook's requests. `changes` has the keys of `secret_schemas`.

        Fails with `InvalidDocument` or `RevisionConflict`.
        """

    def signature(hook: StoredHook) -> Mapping[str, Any]:
        """Return what clients may see of the secrets of `hook`; empty without any.

        The keys are ``signed`` (true), ``signature`` (``hmac`` or ``ed25519``), and ``public_key`` of the
        latter.
        """

    def enable_hooks(account_ids: Collection[str]) -> Awaitable[int]:
        """Enable every hook of these accounts that was disabled because of failures; returns how many."""

    def health(hooks: Sequence[StoredHook]) -> Awaitable[Mapping[str, Mapping[str, Any]]]:
        """Return the health of these hooks of one account, by hook id, in its public form.

        The keys are ``successes``, ``failures``, ``failures_in_window``, ``deliveries_waiting`` (counts), and
        ``last_success`` and ``last_failure`` (Gregorian seconds; absent before the first).
        """

    def send_sample(hook: StoredHook) -> Awaitable[Mapping[str, Any]]:
        """Send a sample to the hook now, enabled or not; returns the attempt in its public form.

        Fails with `NoSample`, or with `TooManySamples`.
        """

    def attempts(
        account_id: str, hook_id: str | None, before: int | None, count: int
    ) -> Awaitable[Sequence[StoredAttempt]]:
        """Return at most `count` attempts of the account (and of one hook), newest first.

        `before`: only attempts below this position; None: from the newest. Large attempts may come in smaller
        numbers; without any there are no more.
        """

    def replay_attempt(account_id: str, hook_id: str | None, attempt_id: int) -> Awaitable[StoredDelivery]:
        """Make the delivery of an attempt due now, delivered or not; returns it.

        `hook_id` None: an attempt at a delivery to any hook of the account. Fails with `UnknownAttempt` or
        `NotReplayable`.
        """

    def deliveries(
        account_id: str, hook_id: str | None, status: str, before: int | None, count: int
    ) -> Awaitable[Sequence[StoredDelivery]]:
        """Return at most `count` deliveries of a status (``pending`` or ``dead``), newest first.

        The other parameters are those of `attempts`.
        """

    def retry_delivery(account_id: str, hook_id: str, delivery_id: str) -> Awaitable[bool]:
        """Make a waiting or dead delivery due now; returns whether the hook has such a delivery."""

    def replay_deliveries(account_id: str, hook_id: str | None, since: float) -> Awaitable[int]:
        """Make every delivery due now that died since a time (Unix seconds); returns how many.

        `hook_id` None: those of all hooks of the account that are enabled, and of inline hooks.
        """

    def limits(account_id: str) -> Awaitable[AccountLimits]:
        """Return the account's own limits."""

    def set_limits(account_id: str, limits: AccountLimits) -> Awaitable[None]:
        """Replace the account's own limits."""
