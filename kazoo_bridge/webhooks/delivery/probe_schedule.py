"""Decides when the receiver of a suspended hook is probed."""

from __future__ import annotations

import random

from attrs import evolve, field, frozen

from kazoo_bridge.config import Webhooks
from kazoo_bridge.interfaces import Suspension

#: The longest wait between two probes, in seconds.
MAX_PROBE_DELAY = 600.0

#: The jitter makes a wait at most this much longer, so that hooks of one receiver are not probed together.
_JITTER = 0.2


@frozen
class ProbeSchedule:
    """The times of the probes of suspended hooks.

    The first probe is made `first_delay` seconds after the suspension; each further wait is twice as long, up
    to `MAX_PROBE_DELAY`. After `give_up_after` seconds of failing, a suspended hook is given up.
    """

    first_delay: float
    give_up_after: float
    _random: random.Random = field(factory=random.Random)

    @classmethod
    def from_config(cls, config: Webhooks) -> ProbeSchedule:
        """Build the schedule of the section ``[webhooks]``."""
        return cls(config.probe_after_s, config.give_up_after_s)

    def begin(self, now: float) -> Suspension:
        """Return a suspension that begins at `now` (Unix seconds)."""
        return Suspension(now, now + self._delay(0))

    def advance(self, suspension: Suspension, now: float) -> Suspension:
        """Return the suspension after one more probe, which is made at `now` (Unix seconds)."""
        probes = suspension.probes + 1
        return evolve(suspension, probes=probes, next_probe=now + self._delay(probes))

    def is_over(self, suspension: Suspension, now: float) -> bool:
        """Return whether the hook has been failing for so long that it is given up."""
        return now - suspension.since >= self.give_up_after

    def _delay(self, probes: int) -> float:
        # The exponent is bounded, because the number of probes is not.
        delay = self.first_delay * 2.0 ** min(probes, 16)
        return min(MAX_PROBE_DELAY, delay * self._random.uniform(1.0, 1.0 + _JITTER))
