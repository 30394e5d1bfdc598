"""What holds for every JSON Web Token, of KAZOO or of another issuer."""

from __future__ import annotations

from typing import Any

#: Algorithms of signatures (``core/kazoo_auth/src/kz_auth_jwt.erl`` of ``2600hz/kazoo``). ``none`` and those
#: with a shared secret are refused.
ALGORITHMS = ("RS256", "RS384", "RS512")

#: Characters. Longer tokens are refused without a look into them.
MAX_TOKEN_LENGTH = 4096

#: Unix seconds, beyond any sensible time.
_MAX_TIME = 2**53

#: Options of the library with which it verifies only the signature: claims are checked with the node's clock.
ONLY_THE_SIGNATURE: Any = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


def may_be_token(text: str) -> bool:
    """Return whether a text has the length and the characters of a token."""
    return 0 < len(text) <= MAX_TOKEN_LENGTH and text.isascii()


def parse_time(value: object) -> float | None:
    """Return a time in Unix seconds; None for what is none, such as true and infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MAX_TIME:
        return None
    return float(value)
