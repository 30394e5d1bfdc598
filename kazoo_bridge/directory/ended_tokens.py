"""The tokens that clients have ended by logging out, where their issuer does not hear of it."""

from __future__ import annotations

from hashlib import sha256

from kazoo_bridge.directory.ttl_cache import TtlCache


class EndedTokens:
    """Tokens that this node refuses although they are valid; beyond `limit`, the oldest are forgotten.

    A signed token counts as ended with whatever spelling of its signature: base64 has several for the same
    bytes, with padding and other unused bits, and libraries accept some of them.
    """

    def __init__(self, limit: int) -> None:
        self._ended: TtlCache[bool] = TtlCache(limit)

    def add(self, token: str, until: float | None) -> None:
        """End a token; it is remembered until the time `until`, when it expires (None: without an end)."""
        self._ended.put(_key(token), True, until)

    def has(self, token: str, now: float) -> bool:
        """Return whether the token has been ended, at the time `now`."""
        return self._ended.get(_key(token), now) is not None


def _key(token: str) -> str:
    signed, _, signature = token.rpartition(".")
    return sha256((signed if signed.count(".") == 1 and signature else token).encode()).hexdigest()
