"""A node together with a simulated switch and a receiver of webhooks."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge, gt, le

#: Accounts, including the reseller.
MAX_ACCOUNTS = 20

MAX_CALLS_PER_MINUTE = 6000.0


@frozen
class DemoOptions:
    """What the simulated switch does.

    `calls_per_minute` is an average. `accounts` includes the reseller; `max_calls` is the number of
    simultaneous calls. The same `seed` makes the same accounts and the same random decisions; None: different
    ones each time.
    """

    calls_per_minute: float = field(default=20.0, validator=[gt(0), le(MAX_CALLS_PER_MINUTE)])
    accounts: int = field(default=4, validator=[ge(2), le(MAX_ACCOUNTS)])
    max_calls: int = field(default=25, validator=ge(1))
    seed: int | None = None
