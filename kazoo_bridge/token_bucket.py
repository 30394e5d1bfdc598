"""Token bucket: limits a rate, and allows bursts."""

from __future__ import annotations

from attrs import define, field


@define(eq=False)
class TokenBucket:
    """Starts full with `burst` tokens; one token returns every `refill_interval` seconds, up to `burst`.

    Times are in seconds of any clock that does not run backwards.
    """

    burst: int
    refill_interval: float
    _tokens: float = field(init=False)
    _updated_at: float = field(init=False, default=0.0)

    @_tokens.default
    def _initial_tokens(self) -> float:
        return float(self.burst)

    def take(self, now: float) -> bool:
        """Take a token.

        `now` is the current time. Returns False, and takes nothing, if there is no whole token.
        """
        if not self.has_token(now):
            return False
        self._tokens -= 1
        return True

    def has_token(self, now: float) -> bool:
        """Return whether `take` would take a token at the current time `now`."""
        elapsed = max(now - self._updated_at, 0.0)
        self._tokens = min(float(self.burst), self._tokens + elapsed / self.refill_interval)
        self._updated_at = now
        return self._tokens >= 1

    def charge(self, tokens: float, now: float) -> None:
        """Take tokens for work that is done in any case, into a debt of at most `burst` tokens."""
        self.has_token(now)
        self._tokens = max(-float(self.burst), self._tokens - tokens)

    def give_back(self) -> None:
        """Return a token that was taken."""
        self._tokens = min(float(self.burst), self._tokens + 1)

    @property
    def wait_time(self) -> float:
        """Seconds from the latest `take` until there is a token; 0 if there is one."""
        return max(0.0, (1 - self._tokens) * self.refill_interval)
