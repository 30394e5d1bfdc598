"""Which deliveries have to come back from the broker before others of their ordering may be kept."""

from __future__ import annotations

from collections import OrderedDict

from attrs import define, field

from kazoo_bridge.interfaces import Delivery

#: Seconds for which one that was refused is waited for. It may have gone to another node.
_BLOCK_SECONDS = 60.0

_MAX_REMEMBERED = 1000


@define(eq=False)
class OrderingBarrier:
    """Remembers what the storage has refused. Times are in seconds."""

    _failed: OrderedDict[tuple[str, str], OrderedDict[str, float]] = field(init=False, factory=OrderedDict)

    def blocked(self, delivery: Delivery, now: float) -> bool:
        """Whether one that came before it has been refused, and is not kept yet."""
        if not delivery.ordering_key:
            return False
        refused = self._failed.get((delivery.hook_id, delivery.ordering_key), OrderedDict())
        first = next((name for name, until in refused.items() if until > now), delivery.id)
        return first != delivery.id

    def write_failed(self, delivery: Delivery, now: float) -> None:
        """The storage did not take it: the broker will hand it out again."""
        if delivery.ordering_key:
            self._failed.setdefault((delivery.hook_id, delivery.ordering_key), OrderedDict())[delivery.id] = (
                now + _BLOCK_SECONDS
            )
            if len(self._failed) > _MAX_REMEMBERED:
                self._failed.popitem(last=False)

    def written(self, delivery: Delivery) -> None:
        """It is safe."""
        place = (delivery.hook_id, delivery.ordering_key)
        refused = self._failed.get(place)
        if refused is not None:
            refused.pop(delivery.id, None)
            if not refused:
                del self._failed[place]
