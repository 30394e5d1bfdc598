"""KAZOO's hook documents: from CouchDB into the form of this service, and back.

The sources in ``2600hz/kazoo``: ``core/kazoo_documents/src/kzd_webhooks.erl`` reads them,
``applications/crossbar/src/crossbar_doc.erl`` writes their private keys, and
``applications/webhooks/src/webhooks_util.erl`` accepts their old spellings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from attrs import evolve
from twisted.logger import Logger

from kazoo_bridge.couchdb.client import Document
from kazoo_bridge.couchdb.names import WEBHOOKS
from kazoo_bridge.interfaces import HookAuthor, StoredHook
from kazoo_bridge.json_limits import exceeds_depth
from kazoo_bridge.kazoo import is_account_id, is_true
from kazoo_bridge.storage.couchdb_hooks.extras import HookExtras
from kazoo_bridge.text_sanitizing import text_for_display

_log = Logger()

#: Keys of documents that KAZOO does not know. They are kept beside CouchDB: another client that replaces the
#: document does not lose them. Keys of these names in CouchDB have no meaning.
OUR_KEYS = frozenset(
    {"headers", "max_age_s", "ordered", "rate_limit", "retry_schedule_s", "success_codes", "timeout_ms"}
) | {"custom_request_headers"}  # another name of headers, whose values are secrets

#: Keys that are no part of a document, but that clients may have sent back to KAZOO.
_DERIVED = frozenset({"id", "disable_reason"})

#: What KAZOO's accessors return for a missing key, and for null.
_DEFAULTS: Mapping[str, Any] = {
    "http_verb": "post",
    "format": "form-data",
    "enabled": True,
    "retries": 2,
    "include_subaccounts": False,
    "include_internal_legs": True,
}

_BOOLEANS = {"true": True, "false": False}

_FORMATS = frozenset({"form-data", "json"})

#: Ids stand in a header of each request. KAZOO's have 32 hexadecimal characters.
_HOOK_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,63}")

_REVISION = re.compile(r"[0-9]{1,15}-[0-9A-Za-z]{1,48}")

#: Bytes of JSON, and nested objects and lists, of a document that is used.
MAX_DOCUMENT_BYTES, MAX_DEPTH = 256 * 1024, 32

#: Characters of a ``disable_reason``.
_MAX_REASON = 1000

#: Where crossbar keeps who has written a document last, and with which request. The last two are those of a
#: token that acts as another one, which this service does not note.
_AUTHOR_KEYS = frozenset(
    {
        "pvt_is_authenticated",
        "pvt_auth_account_id",
        "pvt_auth_user_id",
        "pvt_request_id",
        "pvt_original_auth_account_id",
        "pvt_original_auth_owner_id",
    }
)

#: The version of documents that crossbar writes.
_VERSION = "1"


class UnusableHook(ValueError):
    """A document is no hook that can be used; the text says why, without its values."""


def is_hook_id(value: str) -> bool:
    """Return True if `value` may be the id of a hook."""
    return _HOOK_ID.fullmatch(value) is not None


def is_live_hook(document: Document) -> bool:
    """Return True if a document is a hook that has not been (soft) deleted."""
    return document.get("pvt_type") == "webhook" and not is_true(document.get("pvt_deleted"))


def parse_hook(document: Document) -> StoredHook:
    """Parse the document of a live hook; raises `UnusableHook`.

    What KAZOO accepts is made usual: names of hooks, verbs and formats in capitals, missing keys, objects
    that are none. The rest is judged when the hook is made of it.
    """
    hook_id, account_id, revision = (document.get(key) for key in ("_id", "pvt_account_id", "_rev"))
    if not isinstance(hook_id, str) or not is_hook_id(hook_id):
        raise UnusableHook("its _id is not 1 to 64 letters, digits, dots, dashes or underscores")
    if not is_account_id(account_id):
        raise UnusableHook("its pvt_account_id is not the id of an account")
    if not isinstance(revision, str) or not _REVISION.fullmatch(revision):
        raise UnusableHook("its _rev is no revision")
    if exceeds_depth(document, MAX_DEPTH):
        raise UnusableHook(f"it has more than {MAX_DEPTH} levels")
    if len(orjson.dumps(document)) > MAX_DOCUMENT_BYTES:
        raise UnusableHook(f"it has more than {MAX_DOCUMENT_BYTES} bytes")
    created, modified = _time(document.get("pvt_created")), _time(document.get("pvt_modified"))
    return StoredHook(hook_id, str(account_id), _public_document(document), revision, created, modified)


def parse_quietly(document: Document) -> StoredHook | None:
    """Parse the document of a live hook; None if it cannot be used."""
    try:
        return parse_hook(document)
    except UnusableHook:
        return None


def parse_or_log(document: Document) -> StoredHook | None:
    """Parse a document; None, with a line in the log if it is a hook that cannot be used."""
    if not is_live_hook(document):
        return None
    try:
        return parse_hook(document)
    except UnusableHook as problem:
        _log.error(
            "hook of CouchDB ignored hook_id={hook_id} reason={reason}",
            hook_id=text_for_display(str(document.get("_id"))),
            reason=problem,
        )
        return None


def with_extras(hook: StoredHook, extras: HookExtras) -> StoredHook:
    """Return the hook with what is kept beside CouchDB.

    A suspension holds while the document says that the hook is disabled because of failures.
    """
    document = {**hook.document, **extras.options}
    suspended = document["enabled"] is False and "disable_reason" in document
    return evolve(
        hook,
        document=document,
        secrets=extras.secrets,
        headers=extras.headers,
        suspension=extras.suspension if suspended else None,
    )


def own_options(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a document that is kept beside CouchDB."""
    return {name: value for name, value in document.items() if name in OUR_KEYS}


def to_kazoo(
    document: Mapping[str, Any],
    previous: Document,
    account_id: str,
    node: str,
    now: int,
    author: HookAuthor | None = None,
) -> Document:
    """Return the document for CouchDB: the public one, and the private keys like crossbar keeps them.

    `previous`: the document that it replaces, or for a new one its ``_id`` alone. `now` is in Gregorian
    seconds. `author`: who has asked for it; None: the service itself, and the last author stays. Keys of
    `previous` that this service ignores because of their names stay, too.
    """
    kept = {
        name: value for name, value in previous.items() if name.startswith(("_", "pvt_")) or name in OUR_KEYS
    }
    public = {
        name: value
        for name, value in document.items()
        # A client that could name the account here would have a hook of another account.
        if name not in OUR_KEYS and name not in _DERIVED and not name.startswith(("_", "pvt_"))
    }
    usual = {
        "pvt_type": "webhook",
        "pvt_vsn": _VERSION,
        "pvt_account_id": account_id,
        "pvt_account_db": WEBHOOKS,
    }
    written = usual | public | kept | {"pvt_modified": now, "pvt_node": node}
    if "_rev" not in previous:
        written["pvt_created"] = now
    if isinstance(title := document.get("name"), str):
        written["pvt_alphanum_name"] = re.sub("[^a-z0-9]", "", title.lower())
    if "disable_reason" in document:
        written["pvt_disabled_message"] = document["disable_reason"]
    else:
        written.pop("pvt_disabled_message", None)
    return _with_author(written, author)


def soft_deleted(previous: Document, node: str, now: int, author: HookAuthor | None = None) -> Document:
    """Return the document of a hook that is deleted, like crossbar writes it."""
    deleted = {**previous, "pvt_deleted": True, "pvt_modified": now, "pvt_node": node}
    return _with_author(deleted, author)


def _with_author(document: Document, author: HookAuthor | None) -> Document:
    """Return a document with the account, user and request that have written it; see ``crossbar_doc``."""
    if author is None:
        return document
    kept = {name: value for name, value in document.items() if name not in _AUTHOR_KEYS}
    if author.user_id is not None:
        kept["pvt_auth_user_id"] = author.user_id
    if author.request_id is not None:
        kept["pvt_request_id"] = author.request_id
    return kept | {"pvt_is_authenticated": True, "pvt_auth_account_id": author.account_id}


def _public_document(document: Document) -> dict[str, Any]:
    public = {
        name: value
        for name, value in document.items()
        if not name.startswith(("_", "pvt_")) and name not in OUR_KEYS and name not in _DERIVED
    }
    for name, value in _DEFAULTS.items():
        if public.get(name) is None:
            public[name] = value
    _modernize(public)
    reason = document.get("pvt_disabled_message")
    if reason is not None:
        usual = isinstance(reason, str) and len(reason) <= _MAX_REASON
        public["disable_reason"] = reason if usual else text_for_display(str(reason))
    return public


def _modernize(public: dict[str, Any]) -> None:
    """Replace old and lax spellings of values that KAZOO accepts."""
    for name in ("hook", "http_verb", "format"):
        if isinstance(public.get(name), str):
            public[name] = public[name].lower()
    if not isinstance(public["format"], str) or public["format"] not in _FORMATS:
        public["format"] = _DEFAULTS["format"]
    for name in ("enabled", "include_subaccounts", "include_internal_legs"):
        if isinstance(public[name], str):
            public[name] = _BOOLEANS.get(public[name].lower(), public[name])
    for name in ("custom_data", "modifiers"):
        if not isinstance(public.get(name, {}), dict):
            del public[name]


def _time(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else 0
