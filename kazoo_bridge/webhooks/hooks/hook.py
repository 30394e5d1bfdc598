"""A hook as events are matched with it: parsed once from its document."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from sys import intern
from typing import Any

from attrs import field

from kazoo_bridge.interfaces import Occurrence, Secret, StoredHook
from kazoo_bridge.schema_errors import field_error
from kazoo_bridge.static_frozen import statically_frozen
from kazoo_bridge.webhooks.egress import parse_destination
from kazoo_bridge.webhooks.hooks.delivery_options import NO_OPTIONS, DeliveryOptions
from kazoo_bridge.webhooks.hooks.hook_catalogue import ANY_EVENT, KAZOO_SELECTORS, HookCatalogue
from kazoo_bridge.webhooks.hooks.hook_document import (
    InvalidDocument,
    coerce_document,
    is_coerced,
    uri_problem,
)
from kazoo_bridge.webhooks.hooks.modifiers import ACCEPT_ALL, PayloadFilter
from kazoo_bridge.webhooks.hooks.signing_keys import SigningKey, parse_key

_DEFAULT_VERB = "post"
_VERBS = ("post", "get", "put")
_FORMATS = ("form-data", "json")

#: The id is sent in a header.
_HOOK_ID = re.compile(r"[0-9A-Za-z_.-]{1,64}")

#: URIs that are certainly well-formed, with labels of at most 63 characters: `uri_problem` takes longer, and
#: there may be a million hooks.
_USUAL_URI = re.compile(
    r"https?://(?:[a-z0-9]{1,14}[.-]){0,3}[a-z]{2,17}(?::[1-9][0-9]{0,3})?/[\x21-\x5b\x5d-\x7e]{0,500}"
)

#: The one empty mapping of all hooks.
NOTHING: Mapping[str, Any] = {}


@statically_frozen
class Hook:
    """Which events of an account are sent where, and how.

    - `event`: the id of a hook type, ``all`` or ``everything``;
    - `uri`: may contain credentials and stays out of the repr, like `custom_data` and `secrets`;
    - `verb`: ``post``, ``get`` or ``put``; `format`: ``form-data`` or ``json``;
    - `suspended`: disabled because of failures; its events are kept until its receiver recovers;
    - `failed`: disabled because of failures, until a person enables it; its events are missed;
    - `retries`: how often a failed request is repeated at once, 0 to 4;
    - `custom_data`: overrides the payload, without the keys that select events, see `HookCatalogue`;
    - `modifiers`: required values of the payload's keys, see `matches`;
    - `selectors`: the accepted values of each selector; a selector without an entry accepts every value;
    - `revision`: that of the stored document; empty for a hook that an event brings;
    - `ordered`: requests for events of one call are sent one after another;
    - `rate_limit`: requests per second on each node; 0.0 is no limit;
    - `secrets`: what requests are signed with, newest first;
    - `headers`: the owner's own request headers, by name in lower case;
    - `options`: what counts as success, time-out, retries and the age of events.
    """

    id: str
    account_id: str
    event: str
    uri: str = field(repr=False)
    verb: str
    format: str
    enabled: bool
    retries: int
    include_subaccounts: bool
    include_internal_legs: bool
    custom_data: Mapping[str, Any] = field(repr=False)
    modifiers: Mapping[str, Any]
    selectors: Mapping[str, frozenset[str]]
    revision: str = ""
    ordered: bool = False
    rate_limit: float = 0.0
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    suspended: bool = False
    failed: bool = False
    headers: Mapping[str, str] = field(default=NOTHING, repr=False)
    options: DeliveryOptions = NO_OPTIONS
    #: Compiled once: they are used for every event.
    _filter: PayloadFilter = field(init=False, repr=False, eq=False)
    signing_keys: tuple[tuple[SigningKey, float | None], ...] = field(init=False, repr=False, eq=False)
    #: The queue that the hook's requests share. For a stored hook it is the id. A hook that an event brings
    #: has a new id each time; its queue is that of its account and receiver.
    queue_key: str = field(init=False, repr=False, eq=False)

    @_filter.default
    def _compile_modifiers(self) -> PayloadFilter:
        return ACCEPT_ALL if self.modifiers is NOTHING else PayloadFilter.from_modifiers(self.modifiers)

    @signing_keys.default
    def _parse_secrets(self) -> tuple[tuple[SigningKey, float | None], ...]:
        if not self.secrets:
            return ()
        return tuple((parse_key(secret.value), secret.expires) for secret in self.secrets)

    @queue_key.default
    def _make_queue_key(self) -> str:
        return self.id if self.revision else f"{self.account_id} {parse_destination(self.uri).authority}"

    @classmethod
    def from_document(cls, stored: StoredHook, catalogue: HookCatalogue) -> Hook:
        """Parse a stored document, which KAZOO or `DocumentRules` of some release have accepted.

        Numbers are coerced as by `coerce_document`. Raises KeyError, TypeError, ValueError or AttributeError
        if the document cannot be used.
        """
        document = stored.document
        if not is_coerced(document):
            document = coerce_document(document)
        _require_types(document)
        custom_data = document.get("custom_data", NOTHING)
        event, selectors = catalogue.resolve_alias(document["hook"], custom_data)
        modifiers = document.get("modifiers", NOTHING)
        enabled = _boolean(document, "enabled")
        suspended = stored.suspension is not None and not enabled
        # There may be a million hooks: what is equal in many of them is shared.
        return cls(
            id=stored.id,
            account_id=intern(stored.account_id),
            event=intern(event),
            uri=document["uri"],
            verb=intern(document["http_verb"]),
            format=intern(document["format"]),
            enabled=enabled,
            retries=document["retries"],
            include_subaccounts=_boolean(document, "include_subaccounts"),
            include_internal_legs=_boolean(document, "include_internal_legs"),
            custom_data=_without(catalogue.selector_keys(event), custom_data),
            modifiers=NOTHING if modifiers == {} else modifiers,
            selectors=selectors or NOTHING,
            revision=stored.revision,
            ordered="ordered" in document and _boolean(document, "ordered"),
            rate_limit=float(document["rate_limit"]) if "rate_limit" in document else 0.0,
            secrets=stored.secrets,
            suspended=suspended,
            failed=not (enabled or suspended) and "disable_reason" in document,
            headers=stored.headers or NOTHING,
            options=DeliveryOptions.from_document(document),
        )

    @classmethod
    def from_event(cls, account_id: str, event: str, document: Mapping[str, Any]) -> Hook:
        """Parse the hook that an event brings (a callflow's webhook action), with KAZOO's defaults.

        `event` is the id of the hook type that it fires for. Anything but the URI that is missing or invalid
        gets its default; an invalid id becomes ``callflow``. The result has no revision. Raises
        `InvalidDocument` for a missing or invalid URI.
        """
        uri = document.get("uri")
        if not isinstance(uri, str):
            raise InvalidDocument(field_error("uri", "wrong_format", "this field is required"))
        if problem := uri_problem(uri):
            raise InvalidDocument(field_error("uri", "wrong_format", problem))
        document = {"retries": 2} | coerce_document(document)
        hook_id = document.get("_id", document.get("id"))
        verb = str(document.get("http_verb", "")).lower()
        custom_data, modifiers = document.get("custom_data"), document.get("modifiers")
        return cls(
            id=hook_id if isinstance(hook_id, str) and _HOOK_ID.fullmatch(hook_id) else "callflow",
            account_id=account_id,
            event=event,
            uri=uri,
            verb=verb if verb in _VERBS else _DEFAULT_VERB,
            format="json" if document.get("format") == "json" else "form-data",
            enabled=True,
            retries=document["retries"],
            include_subaccounts=False,
            include_internal_legs=True,
            custom_data=_without(KAZOO_SELECTORS, custom_data)
            if isinstance(custom_data, Mapping)
            else NOTHING,
            modifiers=modifiers if isinstance(modifiers, Mapping) else NOTHING,
            selectors=NOTHING,
        )

    @property
    def listens(self) -> bool:
        """Whether the hook's events matter: they are sent, kept or counted as missed."""
        return self.enabled or self.suspended or self.failed

    def matches(self, occurrence: Occurrence) -> bool:
        """Return whether the hook fires for an occurrence of the event that it listens to.

        An internal leg needs `include_internal_legs`, an addition to KAZOO's events another hook than
        ``all``. Each selector of the occurrence must have a value that `selectors` accepts; selectors that
        the occurrence lacks are not compared. The payload must pass the `modifiers`, see `PayloadFilter`.
        """
        if occurrence.internal_leg and not self.include_internal_legs:
            return False
        if occurrence.addition and self.event == ANY_EVENT:
            return False
        if self.selectors and not self._selectors_match(occurrence.selectors):
            return False
        return not self.modifiers or self._filter.accepts(occurrence.payload)

    def _selectors_match(self, selectors: Mapping[str, str]) -> bool:
        return all(
            name not in self.selectors or value in self.selectors[name] for name, value in selectors.items()
        )


def require_uri(uri: object) -> None:
    """Raise TypeError or ValueError for what is no URI of a receiver."""
    if not isinstance(uri, str):
        raise TypeError("uri is no text")
    if not _USUAL_URI.fullmatch(uri) and (problem := uri_problem(uri)):
        raise ValueError(f"uri: {problem}")


def _require_types(document: Mapping[str, Any]) -> None:
    """Refuse what `DocumentRules` would, as far as requests could not be made of it."""
    require_uri(document["uri"])
    if document["http_verb"] not in _VERBS or document["format"] not in _FORMATS:
        raise ValueError("http_verb or format is unknown")
    for name in ("custom_data", "modifiers"):
        if not isinstance(document.get(name, NOTHING), Mapping):
            raise TypeError(f"{name} is no object")


def _boolean(document: Mapping[str, Any], name: str) -> bool:
    value = document[name]
    if not isinstance(value, bool):
        raise TypeError(f"{name} is no boolean")
    return value


def _without(keys: Container[str], custom_data: Mapping[str, Any]) -> Mapping[str, Any]:
    if custom_data is NOTHING:
        return NOTHING
    return {name: value for name, value in custom_data.items() if name not in keys} or NOTHING
