"""Plans and writes an import: what is new, what changes, what stays, and what is refused, with the reason."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from attrs import define, evolve, field
from sqlalchemy import Connection

from kazoo_bridge.interfaces import AccountLimits, StoredHook
from kazoo_bridge.kazoo import is_account_id, normalize_number
from kazoo_bridge.storage import phone_numbers, settings
from kazoo_bridge.storage.accounts import StoredAccount, StoreRejected, UnknownAccount, check_form
from kazoo_bridge.storage.hooks import new_revision
from kazoo_bridge.storage.transfer import (
    Snapshot,
    StoredCredential,
    put_account,
    put_credential,
    put_hook,
)
from kazoo_bridge.webhooks.egress import remove_credentials

#: Changes of one transaction: a node that writes at the same time waits for it.
BATCH_SIZE = 200

#: The secret parts of a hook: what its requests are signed with, the values of its headers, and
#: ``user:password`` in its URI. An export without secrets has none of them.
SECRETS, HEADERS, CREDENTIALS = HIDDEN = ("secrets", "headers", "credentials")

#: What is counted of each kind.
OUTCOMES = ("created", "updated", "unchanged", "refused")

_Change = Callable[[Connection], None]


@define
class Importer:
    """Compares what is given with what is stored, and writes the difference in batches.

    `write` runs one transaction; None: a dry run. `on_refused` is called with a kind, an id and the reason,
    to which `place` is added: where in the source the importer is. `on_incomplete` is called with the id of a
    hook that is now without some of what the source has left out, and with that.

    Everything is judged by the snapshot, so that a dry run has the same result.
    """

    _snapshot: Snapshot
    _write: Callable[[_Change], None] | None
    _on_refused: Callable[[str, str, str], None]
    _on_incomplete: Callable[[str, Sequence[str]], None] = lambda _hook_id, _missing: None
    place: str = ""
    counts: Counter[tuple[str, str]] = field(factory=Counter)
    _pending: list[tuple[str, str, str, str, _Change]] = field(factory=list)
    _realms: dict[str, str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        accounts = self._snapshot.accounts.values()
        self._realms = {account.realm: account.id for account in accounts if account.realm}

    # -- what is given

    def add_account(self, account: StoredAccount) -> None:
        """Take an account, whose parent must be known already."""
        now, known = time.time(), self._snapshot.accounts
        before = known.get(account.id)
        try:
            check_form(account)
            if before is None and account.parent_id is not None and account.parent_id not in known:
                raise StoreRejected(f"there is no account {account.parent_id} to be the parent")
            if before is not None and before.parent_id != account.parent_id:
                raise StoreRejected("it is stored below another account, and accounts are not moved")
            if before is not None and before.superadmin != account.superadmin:
                raise StoreRejected("the stored account differs in superadmin, which cannot be changed")
            if account.realm and self._realms.get(account.realm, account.id) != account.id:
                raise StoreRejected(f"another account has the realm {account.realm} already")
        except StoreRejected as error:
            self._refuse_here("account", account.id, str(error))
            return
        if before is not None:
            account = evolve(account, created=before.created)
            self._realms.pop(before.realm, None)
        if account.realm:
            self._realms[account.realm] = account.id
        known[account.id] = account
        self._add("account", account.id, before, account, lambda c: put_account(c, account, now))

    def add_limits(self, account_id: str, limits: AccountLimits) -> None:
        """Take the own limits of an account."""
        if not self._knows("limits", account_id, account_id):
            return
        before = self._snapshot.limits.get(account_id)
        self._snapshot.limits[account_id] = limits
        self._add("limits", account_id, before, limits, lambda c: settings.put_limits(c, account_id, limits))

    def add_number(self, number: str, account_id: str) -> None:
        """Take a number with its country code."""
        now, digits = time.time(), normalize_number(number)
        if digits is None:
            self._refuse_here("number", number, "it is not a number of 2 to 32 digits")
            return
        if not self._knows("number", number, account_id):
            return
        before = self._snapshot.numbers.get(digits)
        self._snapshot.numbers[digits] = account_id
        self._add(
            "number",
            number,
            before,
            account_id,
            lambda c: _run(phone_numbers.assign(c, account_id, digits, now, move=True)),
        )

    def add_hook(
        self, hook: StoredHook, *, keep_secrets: bool, left_out: Collection[str] = frozenset()
    ) -> None:
        """Take a hook with a valid document.

        `keep_secrets`: its secrets and header values are not given, and stay as stored. `left_out`: those of
        `HIDDEN` that the source has, but not given.
        """
        if not is_account_id(hook.id):
            self._refuse_here("hook", hook.id, "its id is not 32 characters, 0-9 and a-f")
            return
        if not self._knows("hook", hook.id, hook.account_id):
            return
        before, now = self._snapshot.hooks.get(hook.id), time.time()
        if before is not None and before.account_id != hook.account_id:
            self._refuse_here("hook", hook.id, f"account {before.account_id} has a hook of this id")
            return
        if keep_secrets and before is not None:
            hook = evolve(hook, secrets=before.secrets, headers=before.headers)
            if "headers" in before.document:
                hook = evolve(hook, document={**hook.document, "headers": before.document["headers"]})
            uri = before.document.get("uri")
            if CREDENTIALS in left_out and remove_credentials(str(uri)) == hook.document.get("uri"):
                hook = evolve(hook, document={**hook.document, "uri": uri})
        hook = evolve(hook, revision=new_revision(1 if before is None else _number(before) + 1))
        self._snapshot.hooks[hook.id] = hook
        self._add("hook", hook.id, _content(before), _content(hook), lambda c: put_hook(c, hook, now))
        if missing := sorted(set(left_out) - hidden_of(hook)):
            self._on_incomplete(hook.id, missing)

    def add_credential(self, credential: StoredCredential) -> None:
        """Take an API key or a token."""
        now, shown = time.time(), f"{credential.digest[:8]}…"
        if not self._knows(credential.kind, shown, credential.account_id):
            return
        before = self._snapshot.credentials.get(credential.digest)
        if before is not None and before != credential:
            self._refuse_here(credential.kind, shown, "it is stored with other values")
            return
        self._snapshot.credentials[credential.digest] = credential
        self._add(credential.kind, shown, before, credential, lambda c: put_credential(c, credential, now))

    def refuse(self, kind: str, subject: str, reason: str) -> None:
        """Count and report what cannot be imported."""
        self.counts[kind, "refused"] += 1
        self._on_refused(kind, subject, reason)

    def accounts_with_hooks(self) -> list[str]:
        """Return the accounts that have hooks now."""
        return sorted({hook.account_id for hook in self._snapshot.hooks.values()})

    # -- writing

    def flush(self) -> None:
        """Write what is pending. What a node has made impossible meanwhile is refused, and nothing else."""
        pending, self._pending = self._pending, []
        if self._write is None or not pending:
            return
        try:
            self._write(lambda connection: _apply([change for *_, change in pending], connection))
        except StoreRejected:
            for place, kind, outcome, subject, change in pending:
                try:
                    self._write(change)
                except StoreRejected as error:
                    self.counts[kind, outcome] -= 1
                    self.refuse(kind, subject, _at(place, str(error)))

    def summary(self) -> list[str]:
        """Return a line for each kind."""
        kinds = dict.fromkeys(kind for kind, _ in self.counts)
        return [
            f"{kind}: {', '.join(f'{self.counts[kind, outcome]} {outcome}' for outcome in OUTCOMES)}"
            for kind in kinds
        ]

    @property
    def refused(self) -> int:
        """How much has been refused."""
        return sum(count for (_, outcome), count in self.counts.items() if outcome == "refused")

    def _refuse_here(self, kind: str, subject: str, reason: str) -> None:
        self.refuse(kind, subject, _at(self.place, reason))

    def _knows(self, kind: str, subject: str, account_id: str) -> bool:
        if account_id in self._snapshot.accounts:
            return True
        self._refuse_here(kind, subject, str(UnknownAccount(account_id)))
        return False

    def _add(self, kind: str, subject: str, before: object, after: object, change: _Change) -> None:
        if before == after:
            self.counts[kind, "unchanged"] += 1
            return
        outcome = "created" if before is None else "updated"
        self.counts[kind, outcome] += 1
        self._pending.append((self.place, kind, outcome, subject, change))
        if len(self._pending) >= BATCH_SIZE:
            self.flush()


def hidden_of(hook: StoredHook) -> frozenset[str]:
    """Return those of `HIDDEN` that a hook has."""
    uri = str(hook.document.get("uri"))
    has = (bool(hook.secrets), bool(hook.headers), remove_credentials(uri) != uri)
    return frozenset(name for name, present in zip(HIDDEN, has, strict=True) if present)


def _at(place: str, reason: str) -> str:
    return f"{reason} ({place})" if place else reason


def _apply(changes: list[_Change], connection: Connection) -> None:
    for change in changes:
        change(connection)


def _run(_result: object) -> None:
    """Drop a result: changes have none."""


def _content(hook: StoredHook | None) -> object:
    """Return what makes two hooks different."""
    return None if hook is None else (hook.document, hook.secrets, hook.headers)


def _number(hook: StoredHook) -> int:
    return int(hook.revision.partition("-")[0])
