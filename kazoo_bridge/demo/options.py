"""What can be asked of the demonstration."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge, gt, le

#: The most accounts that the simulated world has.
MAX_ACCOUNTS = 20
MAX_CALLS_PER_MINUTE = 6000.0


@frozen
class DemoOptions:
    """`accounts` counts the reseller too; `max_calls` bounds the calls at a time; `seed` makes the same world and calls again."""

    calls_per_minute: float = field(default=20.0, validator=[gt(0), le(MAX_CALLS_PER_MINUTE)])
    accounts: int = field(default=4, validator=[ge(2), le(MAX_ACCOUNTS)])
    max_calls: int = field(default=25, validator=ge(1))
    seed: int | None = None
