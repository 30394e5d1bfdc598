"""Which deliveries have to come back from the broker before others of their ordering may be kept."""

from __future__ import annotations

from collections import OrderedDict

from attrs import define, field

from kazoo_bridge.interfaces import Delivery

#: Seconds for which one that was refused is waited for. It may have gone to another node.
_WAIT = 60.0

_REMEMBERED = 1000


@define(eq=False)
class Orderings:
    """Remembers what the storage has refused. Times are in seconds."""

    _refused: OrderedDict[tuple[str, str], OrderedDict[str, float]] = field(init=False, factory=OrderedDict)

    def blocked(self, delivery: Delivery, now: float) -> bool:
        """Whether one that came before it has been refused, and is not kept yet."""
        if not delivery.ordering:
            return False
        refused = self._refused.get((delivery.hook_id, delivery.ordering), OrderedDict())
        first = next((name for name, until in refused.items() if until > now), delivery.id)
        return first != delivery.id

    def refused(self, delivery: Delivery, now: float) -> None:
        """The storage did not take it: the broker will hand it out again."""
        if delivery.ordering:
            self._refused.setdefault((delivery.hook_id, delivery.ordering), OrderedDict())[delivery.id] = now + _WAIT
            if len(self._refused) > _REMEMBERED:
                self._refused.popitem(last=False)

    def kept(self, delivery: Delivery) -> None:
        """It is safe."""
        place = (delivery.hook_id, delivery.ordering)
        refused = self._refused.get(place)
        if refused is not None:
            refused.pop(delivery.id, None)
            if not refused:
                del self._refused[place]
