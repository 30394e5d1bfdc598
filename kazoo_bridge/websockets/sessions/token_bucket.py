"""Token buckets: so many at once, so many per second."""

from __future__ import annotations

from attrs import define, field


@define(eq=False)
class TokenBucket:
    """Holds at most `burst` tokens, and gets `per_second` of them back."""

    burst: int
    per_second: float
    _tokens: float = field(init=False)
    _at: float = field(init=False, default=0.0)

    def __attrs_post_init__(self) -> None:
        self._tokens = float(self.burst)

    def take(self, now: float) -> bool:
        """Take a token, if there is one; `now` in seconds."""
        self._tokens = min(float(self.burst), self._tokens + max(0.0, now - self._at) * self.per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
