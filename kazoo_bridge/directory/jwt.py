"""Tokens that an issuer has signed with its RSA key: JSON Web Tokens, as KAZOO makes them, or others."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import jwt
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from kazoo_bridge.config import Config, ConfigError
from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.directory.ended_tokens import EndedTokens
from kazoo_bridge.directory.jwt_claims import ALGORITHMS, ONLY_THE_SIGNATURE, may_be_token, parse_time
from kazoo_bridge.directory.jwt_keys import KeyFile
from kazoo_bridge.directory.member_documents import is_member_id
from kazoo_bridge.directory.ttl_cache import CacheLookups, TtlCache
from kazoo_bridge.interfaces import Account, IDirectory, Principal, TokenRestrictions
from kazoo_bridge.kazoo import is_account_id

#: Tokens whose principals are remembered, and for how many seconds.
MAX_CACHED, CACHE_TTL = 10_000, 300.0

_OPTIONS: Any = {**ONLY_THE_SIGNATURE, "require": ["exp", "iss"], "verify_iss": True}


@implementer(IDirectory)
class JwtDirectory(BaseDirectory):
    """Trusts the tokens of one issuer: signature by the key that ``kid`` names, ``iss``, ``exp``, ``nbf``.

    The claim ``account_id`` is the account. Nothing else is known about accounts: each exists, has no
    ancestors, and may act for itself alone.
    """

    def __init__(self, clock: IReactorTime, path: str, issuer: str) -> None:
        """Read the keys from the file at `path`. Raises ValueError if there are none."""
        self._clock = clock
        self._issuer = issuer
        self._revision = 0
        self._principals: TtlCache[Principal] = TtlCache(MAX_CACHED)
        self._token_lookups = CacheLookups()
        self._ended = EndedTokens(MAX_CACHED)
        self._keys = KeyFile(clock, path, self._on_keys_changed)

    @classmethod
    def from_config(cls, clock: IReactorTime, config: Config) -> JwtDirectory:
        """Raise `ConfigError` if the keys cannot be read."""
        try:
            return cls(clock, config.jwt.keys, config.jwt.issuer)
        except ValueError as error:
            raise ConfigError([f"jwt.keys: {error}"]) from None

    @property
    def cache_lookups(self) -> Mapping[str, CacheLookups]:
        """The lookups of tokens."""
        return {"jwt_tokens": self._token_lookups}

    @property
    def rights_revision(self) -> int:
        """A number that changes with the keys: tokens may have ended."""
        return self._revision

    def startService(self) -> None:
        """Follow the file of the keys."""
        super().startService()
        self._keys.startService()

    def stopService(self) -> Deferred[None]:
        """Follow the file no more."""
        super().stopService()
        stopped: Deferred[None] = maybeDeferred(self._keys.stopService)
        return stopped

    def degraded(self) -> list[str]:
        """Return why the file of the keys cannot be used; the keys before it remain."""
        return [] if self._keys.problem is None else [self._keys.problem]

    # -- IDirectory

    def authenticate(self, token: str) -> Deferred[Principal | None]:
        """Fire with the principal of a token that is signed, of the issuer and valid now; else with None."""
        if not may_be_token(token):
            return succeed(None)
        digest, now = sha256(token.encode("ascii")).hexdigest(), self._clock.seconds()
        principal = self._principals.get(digest, now)
        if principal is not None:
            self._token_lookups.hits += 1
        elif not self._ended.has(token, now):
            self._token_lookups.misses += 1
            principal = self._verify(token, now)
            if principal is not None and principal.expires is not None:
                self._principals.put(digest, principal, min(principal.expires, now + CACHE_TTL))
        return succeed(principal)

    def log_out(self, token: str) -> Deferred[bool]:
        """End a valid token for this node, in memory; its issuer does not hear of it."""
        return self.authenticate(token).addCallback(self._end, token)

    def account(self, account_id: str) -> Deferred[Account | None]:
        """Fire with an account of this id without name and ancestors; None if it is no id of KAZOO's."""
        return succeed(Account(account_id, "", "") if is_account_id(account_id) else None)

    def ancestors(self, account_id: str) -> tuple[str, ...] | None:
        """Return an empty tuple for each id of KAZOO's."""
        return () if is_account_id(account_id) else None

    def can_act_for(self, principal: Principal, account_id: str) -> Deferred[bool]:
        """Fire with True for the principal's own account."""
        return succeed(principal.account_id == account_id and is_account_id(account_id))

    def _end(self, principal: Principal | None, token: str) -> bool:
        if principal is None:
            return False
        digest = sha256(token.encode("ascii")).hexdigest()
        self._principals.discard(digest)
        self._ended.add(token, principal.expires)
        self._revision += 1
        return True

    def _on_keys_changed(self) -> None:
        self._principals.clear()
        self._revision += 1

    def _verify(self, token: str, now: float) -> Principal | None:
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.find(header.get("kid"))
            if key is None or header.get("alg") not in ALGORITHMS:
                return None
            claims = jwt.decode(token, key, list(ALGORITHMS), _OPTIONS, issuer=self._issuer)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            # The library parses JSON that any client may have written.
            return None
        return _principal(claims, now)


def _principal(claims: Mapping[str, Any], now: float) -> Principal | None:
    account_id = claims.get("account_id")
    begins, expires = parse_time(claims.get("nbf", 0)), parse_time(claims.get("exp"))
    if not is_account_id(account_id) or begins is None or expires is None or not begins <= now < expires:
        return None
    restrictions = claims.get("restrictions")
    return Principal(
        str(account_id),
        expires=expires,
        restrictions=None if restrictions is None else TokenRestrictions.parse(restrictions),
        user_id=str(user_id) if is_member_id(user_id := claims.get("owner_id")) else None,
    )
