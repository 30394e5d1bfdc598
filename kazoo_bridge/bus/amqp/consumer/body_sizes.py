"""The mean size of received messages."""

from __future__ import annotations

from attrs import define

#: Messages that are enough for a mean.
_MIN_COUNT = 1000


@define
class BodySizes:
    """Number and total size, in bytes, of the messages received so far. Recent ones count more."""

    count: float = 0
    total: float = 0

    @property
    def mean(self) -> float:
        """The mean size in bytes; 0 before the first message."""
        return self.total / self.count if self.count else 0.0

    def forget_half(self) -> None:
        """Halve the weight of the messages so far, unless they are few."""
        if self.count > _MIN_COUNT:
            self.count /= 2
            self.total /= 2
