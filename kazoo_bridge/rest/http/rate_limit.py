"""How many requests a client may make."""

from __future__ import annotations

import hashlib
import secrets

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.ip_addresses import rate_limit_key
from kazoo_bridge.rest.http.token_buckets import KeyedTokenBuckets


@define
class RequestLimiter:
    """Each good token may make `burst` requests at once and `per_second` from then on (0: as many as it likes); so may each address.

    Tokens count for themselves only once they were found to be good. Otherwise whoever makes up a new one for each request would
    have no limit, and would drive the good ones out of a memory that is bounded. Until then the address is charged.
    """

    _clock: IReactorTime
    per_second: int
    burst: int
    # Of tokens only a digest is kept, under a key that ends with the process.
    _digest_secret: bytes = field(init=False, factory=lambda: secrets.token_bytes(32), repr=False)
    _tokens: KeyedTokenBuckets = field(init=False, repr=False)
    _addresses: KeyedTokenBuckets = field(init=False, repr=False)

    @_tokens.default
    def _of_tokens(self) -> KeyedTokenBuckets:
        return KeyedTokenBuckets(self._clock, self.burst, 1 / (self.per_second or 1))

    @_addresses.default
    def _of_addresses(self) -> KeyedTokenBuckets:
        return KeyedTokenBuckets(self._clock, self.burst, 1 / (self.per_second or 1))

    def take(self, token: str | None, peer: object) -> int:
        """Count a request; 0 when it may be made, else the whole seconds until one may."""
        if not self.per_second:
            return 0
        digest = self._digest(token) if token else None
        if digest is not None and digest in self._tokens:
            return self._tokens.take(digest)
        return self._addresses.take(rate_limit_key(peer))

    def mark_authenticated(self, token: str) -> None:
        """From now on the token counts for itself."""
        if self.per_second:
            self._tokens.add(self._digest(token))

    def _digest(self, token: str) -> bytes:
        return hashlib.blake2b(
            token.encode("utf-8", "surrogatepass"), key=self._digest_secret, digest_size=16
        ).digest()
