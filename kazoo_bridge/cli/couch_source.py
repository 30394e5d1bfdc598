"""Reads accounts, hooks, numbers and limits of a running KAZOO from its CouchDB, for ``import couchdb``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, fields
from twisted.internet.defer import Deferred, DeferredList, DeferredSemaphore

from kazoo_bridge.cli.importer import Importer
from kazoo_bridge.couchdb.client import CouchClient, DatabaseMissing, Row
from kazoo_bridge.couchdb.names import ACCOUNTS, WEBHOOKS, account_database
from kazoo_bridge.directory.couchdb.account_records import AccountRecord, NotAnAccount, parse_account
from kazoo_bridge.directory.couchdb.numbers import owner_of
from kazoo_bridge.interfaces import MAX_ACCOUNT_LIMIT, AccountLimits, InvalidDocument, StoredHook
from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.kazoo import is_account_id, is_true
from kazoo_bridge.schema_errors import errors_to_text
from kazoo_bridge.storage.accounts import StoredAccount
from kazoo_bridge.webhooks.hooks.hook_document import DocumentRules

#: The document with an account's own settings of webhooks, in the account's database.
LIMITS_DOCUMENT = "configs_webhooks"

#: Databases and documents that are read at the same time.
_READERS = 8

#: Beginnings of positions: what was read last.
_HOOKS, _NUMBERS = "hooks ", "numbers "

_LIMITS = [limit.name for limit in fields(AccountLimits)]

_OLD_VALUES: Mapping[str, Any] = {"true": True, "false": False}


@define
class CouchSource:
    """Gives an `Importer` what KAZOO has, page by page.

    `position` is where an earlier import stopped: what comes before was written already. `on_position` is
    called when all before a position has been written. `on_progress` is called with the number of documents
    that have been read since the last call.
    """

    _client: CouchClient
    _rules: DocumentRules
    _importer: Importer
    _position: str
    _on_position: Callable[[str], None]
    _on_progress: Callable[[int], None]

    async def total(self) -> int:
        """Return about how many documents are to be read. Raises `StorageUnavailable`."""
        return await self._client.count(ACCOUNTS) + await self._count_hooks()

    async def run(self) -> None:
        """Read everything. Raises `StorageUnavailable`, and `DatabaseMissing` without accounts."""
        # Always: the rest is judged by them. Those that are stored already cost nothing more.
        await self._read_accounts()
        await self._read_hooks()
        await self._read_limits()
        await self._read_numbers()

    async def _count_hooks(self) -> int:
        try:
            return await self._client.count(WEBHOOKS)
        except DatabaseMissing:
            return 0

    async def _read_accounts(self) -> None:
        found: list[tuple[AccountRecord, int]] = []
        async for page in self._client.pages(ACCOUNTS):
            for row in page:
                if row.doc is None or row.id.startswith("_design/"):
                    continue
                try:
                    record = parse_account(row.doc)
                except NotAnAccount as error:
                    self._importer.refuse("account", row.id, str(error))
                    continue
                if record is not None:
                    found.append((record, _time(row.doc.get("pvt_created"))))
            self._on_progress(len(page))
        # Parents first.
        for record, created in sorted(found, key=lambda one: (len(one[0].ancestors), one[0].id)):
            parent_id = record.ancestors[0] if record.ancestors else None
            self._importer.add_account(
                StoredAccount(
                    record.id,
                    parent_id,
                    record.name,
                    record.realm.lower(),
                    record.superadmin,
                    created,
                    record.enabled,
                )
            )
        self._importer.flush()

    async def _read_hooks(self) -> None:
        if self._position.startswith(_NUMBERS):
            return
        start_key = self._position.removeprefix(_HOOKS) or None
        try:
            async for page in self._client.pages(WEBHOOKS, start_key=start_key):
                for row in page:
                    self._add_hook(row)
                self._importer.flush()
                self._on_position(f"{_HOOKS}{page[-1].id}")
                self._on_progress(len(page))
        except DatabaseMissing:
            return

    def _add_hook(self, row: Row) -> None:
        if row.doc is None or not _is_hook(row.doc):
            return
        try:
            document = self._rules.validate(modernize(row.doc))
        except InvalidDocument as error:
            self._importer.refuse("hook", row.id, errors_to_text(error.errors))
            return
        reason = row.doc.get("pvt_disabled_message")
        if document["enabled"] is False and isinstance(reason, str):
            document["disable_reason"] = reason[:1000]
        created, modified = (_time(row.doc.get(name)) for name in ("pvt_created", "pvt_modified"))
        hook = StoredHook(row.id, str(row.doc["pvt_account_id"]), document, "", created, modified)
        self._importer.add_hook(hook, keep_secrets=True)

    async def _read_limits(self) -> None:
        """Read the limits of the accounts that have hooks: those of others have no meaning."""
        turns = DeferredSemaphore(_READERS)

        async def read(account_id: str) -> None:
            async with turns:
                document = await self._client.find(account_database(account_id), LIMITS_DOCUMENT)
            limits = None if document is None else parse_limits(document)
            if limits is not None:
                self._importer.add_limits(account_id, limits)

        reading = [
            Deferred.fromCoroutine(read(account_id)) for account_id in self._importer.accounts_with_hooks()
        ]
        results: list[Any] = await DeferredList(reading, consumeErrors=True)
        for succeeded, failure in results:
            if not succeeded:
                failure.raiseException()
        self._importer.flush()

    async def _read_numbers(self) -> None:
        begin = self._position.removeprefix(_NUMBERS) if self._position.startswith(_NUMBERS) else ""
        for database in await self._client.databases("numbers/"):
            if database < begin:
                continue
            async for page in self._client.pages(database):
                for row in page:
                    owner = None if row.doc is None else owner_of(row.doc)
                    if owner is not None:
                        self._importer.add_number(row.id, owner)
                self._on_progress(len(page))
            self._importer.flush()
            self._on_position(f"{_NUMBERS}{database}")


def modernize(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the public part of KAZOO's hook document, with values as this service writes them.

    KAZOO accepts capitals, and booleans as text; see ``webhooks_util`` in ``2600hz/kazoo``.
    """
    public = {
        name: value
        for name, value in document.items()
        if not name.startswith(("_", "pvt_")) and value is not None and value != ""
    }
    for name in ("hook", "http_verb", "format"):
        if isinstance(public.get(name), str):
            public[name] = public[name].lower()
    for name in ("enabled", "include_subaccounts", "include_internal_legs"):
        if isinstance(public.get(name), str):
            public[name] = _OLD_VALUES.get(public[name].lower(), public[name])
    for name in ("custom_data", "modifiers"):
        if not isinstance(public.get(name, {}), dict):
            del public[name]
    return public


def parse_limits(document: Mapping[str, Any]) -> AccountLimits | None:
    """Return the limits of an account's settings; None if it has none that can be used."""
    limits = AccountLimits(*(_limit(document.get(name)) for name in _LIMITS))
    return None if limits == AccountLimits() else limits


def _limit(value: object) -> int | None:
    number = to_integer(value)
    return number if number is not None and 1 <= number <= MAX_ACCOUNT_LIMIT else None


def _is_hook(document: Mapping[str, Any]) -> bool:
    return (
        document.get("pvt_type") == "webhook"
        and not is_true(document.get("pvt_deleted"))
        and is_account_id(document.get("pvt_account_id"))
    )


def _time(value: object) -> int:
    number = to_integer(value)
    return number if number is not None and 0 <= number < 2**53 else 0
