"""Decides when a failed delivery is attempted again."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from email.utils import parsedate_to_datetime

from attrs import field, frozen

from kazoo_bridge.config import Webhooks
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.sender import Outcome

#: Seconds between the quick retries of a delivery; KAZOO's ``webhooks_util`` waits as long.
QUICK_RETRY_DELAY = 2.0

#: Seconds until a delivery is attempted again that failed by a fault of this node.
MIN_OWN_FAULT_DELAY = 5.0
MAX_OWN_FAULT_DELAY = 300.0

#: Seconds by which a receiver's ``Retry-After`` can postpone the next attempt.
MAX_RETRY_AFTER = 86_400.0

#: Characters of a ``Retry-After`` that are looked at.
_MAX_RETRY_AFTER_LENGTH = 1000

#: HTTP knows whole seconds only, but receivers send all kinds of numbers.
_SECONDS = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE]\+?[0-9]+)?", re.ASCII)

#: An HTTP date with a year that `datetime` cannot hold.
_DISTANT_YEAR = re.compile(r"[0-9]{1,2}[ -][A-Z][a-z]{2}[ -][0-9]{5,} ")


@frozen
class RetryPolicy:
    """First the hook's own quick retries, then one retry after each of `delays` (seconds, with full jitter).

    A hook's own schedule overrides `delays`.
    With `retry_bad_status` false, a response with a bad status is never retried, like in KAZOO.
    """

    delays: Sequence[float]
    retry_bad_status: bool = True
    _random: random.Random = field(factory=random.Random)

    @classmethod
    def from_config(cls, config: Webhooks) -> RetryPolicy:
        """Build the policy of the section ``[webhooks]``."""
        return cls(config.retry_schedule_s, config.retry_bad_status)

    def next_attempt(self, hook: Hook, attempts: int, outcome: Outcome, now: float) -> float | None:
        """Return when to make the next attempt (Unix seconds); None: the delivery is dead.

        `attempts` have been made, the last of which had this outcome; `now` is in Unix seconds.
        """
        if not self.retry_bad_status and not outcome.connection_failed:
            return None
        delays = self._delays(hook)
        scheduled = attempts - hook.retries
        if scheduled <= 0:
            delay = QUICK_RETRY_DELAY
        elif scheduled <= len(delays):
            delay = self._random.uniform(0, delays[scheduled - 1])
        else:
            return None
        return now + max(delay, retry_after(outcome, now))

    def delay_after_own_fault(self, age: float) -> float:
        """Return the seconds until the next attempt of a delivery that failed by a fault of this node.

        `age` is the delivery's, in seconds. Such attempts use up neither quick retries nor schedule. The
        delay grows with the age, from `MIN_OWN_FAULT_DELAY` to `MAX_OWN_FAULT_DELAY`, and is shortened by up
        to half at random, so that the deliveries do not all come back at once.
        """
        delay = min(max(age, MIN_OWN_FAULT_DELAY), MAX_OWN_FAULT_DELAY)
        return delay * self._random.uniform(0.5, 1.0)

    def max_attempts(self, hook: Hook) -> int:
        """Return how many attempts are made at a delivery if none succeeds, those by own fault apart."""
        return 1 + hook.retries + len(self._delays(hook))

    def _delays(self, hook: Hook) -> Sequence[float]:
        return self.delays if hook.options.retry_delays is None else hook.options.retry_delays

    def quick_retries_left(self, hook: Hook, attempts: int) -> int:
        """Return how many of the hook's quick retries follow after `attempts` attempts."""
        return max(0, hook.retries + 1 - attempts)


def retry_after(outcome: Outcome, now: float) -> float:
    """Return the seconds of the response's ``Retry-After``; 0.0 when it has none, or an invalid one.

    `now` is in Unix seconds. The result is `MAX_RETRY_AFTER` at most, however much later the receiver names;
    a time in the past and a negative number are 0.0.
    """
    text = next((value for name, value in outcome.headers.items() if name.lower() == "retry-after"), "")
    seconds = _parse_retry_after(text[:_MAX_RETRY_AFTER_LENGTH].strip(), now)
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _parse_retry_after(text: str, now: float) -> float:
    if _SECONDS.fullmatch(text):
        return float(text)  # infinity for hundreds of digits
    if _DISTANT_YEAR.search(text):
        return MAX_RETRY_AFTER
    try:
        return parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return 0.0
