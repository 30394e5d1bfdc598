"""The accounts of KAZOO in memory, at less than a kilobyte each.

The keys of an account's document are those of ``core/kazoo_documents/src/kzd_accounts.erl`` in
``2600hz/kazoo``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from attrs import field, frozen
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


class AccountIndex:
    """Accounts by id and by API key. Equal ids and equal lists of ancestors are kept once."""

    def __init__(self) -> None:
        self._records: dict[str, AccountRecord] = {}
        self._api_keys: dict[bytes, str] = {}
        self._children: dict[str, list[str]] | None = None
        self._ids: dict[str, str] = {}
        self._ancestor_lists: dict[tuple[str, ...], tuple[str, ...]] = {}

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
        record = self._compact(record)
        self._records[record.id] = record
        if record.api_key is not None:
            self._api_keys[record.api_key] = record.id
        if before is None:
            self._children = None
            return False
        if before.api_key is not None and before.api_key != record.api_key:
            self._forget_api_key(before)
        if before.ancestors != record.ancestors:
            self._children = None
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
            self._children = None
            self._forget_api_key(record)
        return record

    def descendants(self, account_id: str) -> frozenset[str]:
        """Return the ids of all accounts that have this account above them."""
        if self._children is None:
            self._children = {}
            for record in self._records.values():
                if record.ancestors:
                    self._children.setdefault(record.ancestors[0], []).append(record.id)
        found: set[str] = set()
        pending = [account_id]
        while pending:
            new = [child for child in self._children.get(pending.pop(), ()) if child not in found]
            found.update(new)
            pending.extend(new)
        found.discard(account_id)
        return frozenset(found)

    def _compact(self, record: AccountRecord) -> AccountRecord:
        """Return the record with ids that are shared with other records."""
        ancestors = self._ancestor_lists.get(record.ancestors)
        if ancestors is None:
            ancestors = tuple(self._ids.setdefault(one, one) for one in record.ancestors)
            self._ancestor_lists[ancestors] = ancestors
        reseller_id = record.reseller_id
        return AccountRecord(
            id=self._ids.setdefault(record.id, record.id),
            name=record.name,
            realm=record.realm,
            ancestors=ancestors,
            enabled=record.enabled,
            superadmin=record.superadmin,
            is_reseller=record.is_reseller,
            reseller_id=None if reseller_id is None else self._ids.setdefault(reseller_id, reseller_id),
            ends=record.ends,
            api_key=record.api_key,
        )

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
