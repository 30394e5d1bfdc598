"""The accounts of KAZOO in memory, at less than a kilobyte each.

The keys of an account's document are those of ``core/kazoo_documents/src/kzd_accounts.erl`` in
``2600hz/kazoo``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from attrs import define, evolve, field, frozen
from twisted.logger import Logger

from kazoo_bridge.interfaces import Account
from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.kazoo import from_gregorian, is_account_id, is_true
from kazoo_bridge.text_sanitizing import text_for_display

_log = Logger()

#: Characters of a name or realm; the rest is left out.
MAX_TEXT = 255

#: Accounts above an account; a document with more is not understood.
MAX_DEPTH = 100


@frozen(weakref_slot=False)
class AccountRecord:
    """An account as this node needs it.

    `ancestors`: from the parent to the top. `ends`: the end of a trial in Unix seconds; None: it has none.
    `api_key`: the digest of its API key (`api_key_digest`); None: it has none.
    """

    id: str
    name: str
    realm: str
    ancestors: tuple[str, ...]
    enabled: bool
    superadmin: bool
    is_reseller: bool
    reseller_id: str | None
    ends: int | None
    api_key: bytes | None = field(repr=False)

    def is_active(self, now: float) -> bool:
        """Return True if the account may act at the time `now` (Unix seconds)."""
        return self.enabled and (self.ends is None or now < self.ends)

    def to_account(self, now: float) -> Account:
        """Return the account as the rest of the node knows it at the time `now` (Unix seconds)."""
        return Account(
            self.id,
            self.name,
            self.realm,
            self.ancestors,
            self.superadmin,
            enabled=self.is_active(now),
            reseller=self.reseller_id,
            is_reseller=self.is_reseller,
        )


class NotAnAccount(Exception):
    """The document is no account, or not one that can be used; the text says what was expected."""


def api_key_digest(api_key: str) -> bytes:
    """Return the form in which API keys are kept and compared."""
    return sha256(api_key.encode("utf-8", "surrogatepass")).digest()


def parse_account(document: Mapping[str, Any]) -> AccountRecord | None:
    """Return the account of a document; None if the document is of a deleted account, or of another type.

    Raises `NotAnAccount`.
    """
    account_id = document.get("_id")
    if document.get("pvt_type") != "account" or is_true(document.get("pvt_deleted")):
        return None
    if not is_account_id(account_id):
        raise NotAnAccount("_id: expected 32 lower-case hexadecimal characters")
    api_key = document.get("pvt_api_key")
    reseller_id, ends = document.get("pvt_reseller_id"), to_integer(document.get("pvt_trial_expires"))
    return AccountRecord(
        id=str(account_id),
        name=_text(document.get("name")),
        realm=_text(document.get("realm")),
        ancestors=_ancestors(document.get("pvt_tree", []), str(account_id)),
        # Like KAZOO: an account without the key is enabled.
        enabled=document.get("pvt_enabled", True) is True or is_true(document["pvt_enabled"]),
        superadmin=is_true(document.get("pvt_superduper_admin")),
        is_reseller=is_true(document.get("pvt_reseller")),
        reseller_id=str(reseller_id) if is_account_id(reseller_id) else None,
        ends=None if ends is None else from_gregorian(ends),
        api_key=api_key_digest(api_key) if isinstance(api_key, str) and api_key else None,
    )


def _text(value: object) -> str:
    return value[:MAX_TEXT].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _ancestors(tree: object, account_id: str) -> tuple[str, ...]:
    if not isinstance(tree, list) or len(tree) > MAX_DEPTH or not all(map(is_account_id, tree)):
        raise NotAnAccount(f"pvt_tree: expected a list of at most {MAX_DEPTH} account ids")
    if account_id in tree or len(set(tree)) < len(tree):
        raise NotAnAccount("pvt_tree: expected each account above once, without the account itself")
    return tuple(reversed(tree))


@define
class _Children:
    """The accounts right below an account, and their ancestors as the latest change has them."""

    ancestors: tuple[str, ...] = ()
    ids: set[str] = field(factory=set)


class AccountIndex:
    """Accounts by id and by API key. The children of an account share one list of ancestors."""

    def __init__(self) -> None:
        self._records: dict[str, AccountRecord] = {}
        self._api_keys: dict[bytes, str] = {}
        self._children: dict[str, _Children] = {}

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, account_id: object) -> bool:
        return account_id in self._records

    def find(self, account_id: str) -> AccountRecord | None:
        """Return the account, or None if it is unknown."""
        return self._records.get(account_id)

    def find_api_key(self, api_key: str) -> AccountRecord | None:
        """Return the account whose API key this is."""
        digest = api_key_digest(api_key)
        account_id = self._api_keys.get(digest)
        record = None if account_id is None else self._records.get(account_id)
        return record if record is not None and record.api_key == digest else None

    def all(self) -> Iterable[AccountRecord]:
        """Return all accounts."""
        return self._records.values()

    def ids(self) -> frozenset[str]:
        """Return the ids of all accounts."""
        return frozenset(self._records)

    def put(self, record: AccountRecord) -> bool:
        """Add or replace an account; returns whether rights may have ended with what it was before."""
        before = self._records.get(record.id)
        if before is not None and before.ancestors != record.ancestors:
            self._forget_child(before)
        record = self._compact(record)
        self._records[record.id] = record
        if record.ancestors:
            self._children[record.ancestors[0]].ids.add(record.id)
        if record.api_key is not None:
            self._api_keys[record.api_key] = record.id
        if before is None:
            return False
        if before.api_key is not None and before.api_key != record.api_key:
            self._forget_api_key(before)
        return (
            before.ancestors != record.ancestors
            or (before.enabled and not record.enabled)
            or (before.superadmin and not record.superadmin)
            or before.ends != record.ends
        )

    def remove(self, account_id: str) -> AccountRecord | None:
        """Remove an account, and return what it was; None if it is unknown."""
        record = self._records.pop(account_id, None)
        if record is not None:
            self._forget_child(record)
            self._forget_api_key(record)
        return record

    def descendants(self, account_id: str) -> frozenset[str]:
        """Return the ids of all accounts that have this account above them."""
        found: set[str] = set()
        pending = [account_id]
        while pending:
            children = self._children.get(pending.pop())
            new = () if children is None else children.ids - found
            found.update(new)
            pending.extend(new)
        found.discard(account_id)
        return frozenset(found)

    def _compact(self, record: AccountRecord) -> AccountRecord:
        """Return the record with the list of ancestors, and the ids, that others of its parent have."""
        ancestors, reseller_id = record.ancestors, record.reseller_id
        if ancestors:
            children = self._children.setdefault(ancestors[0], _Children())
            if children.ancestors != ancestors:
                children.ancestors = tuple(map(self._known_id, ancestors))
            ancestors = children.ancestors
        if reseller_id in ancestors:
            reseller_id = ancestors[ancestors.index(reseller_id)]
        return evolve(record, ancestors=ancestors, reseller_id=reseller_id)

    def _known_id(self, account_id: str) -> str:
        """Return an equal id, the one in memory if the account is known."""
        record = self._records.get(account_id)
        return account_id if record is None else record.id

    def _forget_child(self, record: AccountRecord) -> None:
        if not record.ancestors:
            return
        children = self._children[record.ancestors[0]]
        children.ids.discard(record.id)
        if not children.ids:
            del self._children[record.ancestors[0]]

    def _forget_api_key(self, record: AccountRecord) -> None:
        if record.api_key is not None and self._api_keys.get(record.api_key) == record.id:
            del self._api_keys[record.api_key]


def parse_all(documents: Iterable[Mapping[str, Any]]) -> Iterable[AccountRecord]:
    """Yield the accounts of documents; what cannot be used is logged and left out."""
    for document in documents:
        record = parse_or_log(document)
        if record is not None:
            yield record


def parse_or_log(document: Mapping[str, Any]) -> AccountRecord | None:
    """Return the account of a document; None if there is none, which is logged if it is a mistake."""
    try:
        return parse_account(document)
    except NotAnAccount as error:
        _log.warn(
            "account of CouchDB not used document={document_id} reason={reason}",
            document_id=text_for_display(str(document.get("_id")))[:MAX_TEXT],
            reason=error,
        )
        return None
