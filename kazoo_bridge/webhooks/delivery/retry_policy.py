"""When a delivery that failed is tried again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from email.utils import parsedate_to_datetime

from attrs import field, frozen

from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.sender import Outcome

#: Seconds between the quick tries of one delivery, as in KAZOO.
QUICK_DELAY = 2.0

#: A receiver may not put us off for longer, in seconds.
_MAX_RETRY_AFTER = 86400.0


@frozen
class RetryPolicy:
    """The hook's own quick retries first, then one try after each of `delays` (seconds), shortened at random (full jitter).

    `retry_bad_status` false: as in KAZOO, an answer with a bad status is never retried.
    """

    delays: Sequence[float]
    retry_bad_status: bool = True
    _random: random.Random = field(factory=random.Random)

    def next_attempt(self, hook: Hook, tries: int, outcome: Outcome, now: float) -> float | None:
        """When to try again after `tries` attempts, of which the last had this outcome; None: never."""
        if not self.retry_bad_status and not outcome.connection_failed:
            return None
        if tries <= hook.retries:
            delay = QUICK_DELAY
        elif tries - hook.retries <= len(self.delays):
            delay = self._random.uniform(0, self.delays[tries - hook.retries - 1])
        else:
            return None
        return now + max(delay, retry_after(outcome, now))

    def quick_retries_left(self, hook: Hook, tries: int) -> int:
        """How many of the hook's quick retries follow after `tries` attempts."""
        return max(0, hook.retries + 1 - tries)


def retry_after(outcome: Outcome, now: float) -> float:
    """The seconds for which the receiver asks to be left alone; 0.0 when it does not, or when it cannot be understood."""
    text = next(
        (value for name, value in outcome.headers.items() if name.lower() == "retry-after"), ""
    ).strip()
    if not text:
        return 0.0
    try:
        seconds = (
            float(int(text))
            if text.isascii() and text.isdigit() and len(text) < 10
            else parsedate_to_datetime(text).timestamp() - now
        )
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER)
