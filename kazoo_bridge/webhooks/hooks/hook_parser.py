"""Parses many stored hooks one after another; what their documents have in common is parsed once."""

from __future__ import annotations

from sys import intern

import orjson

from kazoo_bridge.interfaces import StoredHook
from kazoo_bridge.webhooks.hooks.hook import NOTHING, Hook, require_uri
from kazoo_bridge.webhooks.hooks.hook_catalogue import HookCatalogue

#: Kept models, and the bytes of JSON of each: hooks may have large documents that are all different.
MAX_MODELS, MAX_MODEL_BYTES = 10_000, 2048


class HookParser:
    """Parses hooks like `Hook.from_document`, for as long as it is used.

    Most documents differ only by ``name`` and ``uri``. The first hook of each kind is the model of the
    others, which share its values.
    """

    def __init__(self, catalogue: HookCatalogue) -> None:
        """`catalogue` is that of `Hook.from_document`."""
        self._catalogue = catalogue
        #: By the JSON of the document without ``name`` and ``uri``.
        self._models: dict[bytes, Hook] = {}

    def parse(self, stored: StoredHook) -> Hook:
        """Return the hook; raises what `Hook.from_document` raises."""
        if stored.secrets or stored.suspension:
            return Hook.from_document(stored, self._catalogue)
        key = _model_key(stored)
        model = self._models.get(key)
        if model is None:
            hook = Hook.from_document(stored, self._catalogue)
            if key and len(self._models) < MAX_MODELS and len(key) <= MAX_MODEL_BYTES:
                self._models[key] = hook
            return hook
        require_uri(stored.document["uri"])
        return Hook(
            stored.id,
            intern(stored.account_id),
            model.event,
            stored.document["uri"],
            model.verb,
            model.format,
            model.enabled,
            model.retries,
            model.include_subaccounts,
            model.include_internal_legs,
            model.custom_data,
            model.modifiers,
            model.selectors,
            stored.revision,
            model.ordered,
            model.rate_limit,
            failed=model.failed,
            headers=stored.headers or NOTHING,
            options=model.options,
        )


def _model_key(stored: StoredHook) -> bytes:
    """Return what is equal for hooks that differ only by name and URI; empty if it is not certain."""
    rest = {**stored.document}
    rest.pop("uri", None)
    rest.pop("name", None)
    try:
        key = orjson.dumps(rest)
    except TypeError:
        return b""  # integers beyond 64 bits, lone surrogates
    # NaN and Infinity are written as null, too.
    return b"" if b"null" in key else key
