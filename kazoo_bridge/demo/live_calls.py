"""The calls that there are, and new ones: who calls whom."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import count

from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.demo.call import Call
from kazoo_bridge.demo.call_script import CallScript
from kazoo_bridge.demo.event_publisher import EventPublisher
from kazoo_bridge.demo.leg import Leg
from kazoo_bridge.demo.notifications import NotificationPublisher
from kazoo_bridge.demo.tenants import OUTSIDERS, Party, Tenant

_FIRST_SLOT = 101


class SimulatedCalls:
    """At most `most` calls at a time."""

    def __init__(
        self,
        clock: IReactorTime,
        chance: random.Random,
        teller: EventPublisher,
        tenants: Sequence[Tenant],
        most: int,
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._teller = teller
        self._notices = NotificationPublisher(teller, chance)
        self._tenants = tenants
        self._most = most
        self._lives: dict[Call, CallScript] = {}

    def __len__(self) -> int:
        """How many calls there are."""
        return len(self._lives)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._lives))

    def legs(self, account_id: str | None = None) -> list[Leg]:
        """The legs of all calls, or of those of one account."""
        return [leg for call in self._lives for leg in call.legs if account_id in (None, call.tenant.id)]

    def find(self, leg_id: str) -> tuple[Call, Leg] | None:
        """The leg of that id and its call, while it lives."""
        return next(((call, leg) for call in self._lives for leg in call.legs if leg.id == leg_id), None)

    def begin(self) -> None:
        """Somebody calls somebody; nobody does when there are as many calls as there may be."""
        if len(self._lives) >= self._most:
            return
        tenant = self._chance.choice(self._tenants)
        colleague, other = self._chance.sample(tenant.people, 2)
        outsider = self._chance.choice(OUTSIDERS)
        luck = self._chance.random()
        if luck < 0.5:
            self._place(tenant, outsider, Party(tenant.name, tenant.number), colleague)
        elif luck < 0.75:
            self._place(tenant, colleague, outsider, outsider)
        else:
            self._place(tenant, colleague, other, other)

    def colleague(self, call: Call) -> Party:
        """Somebody of the call's account who is not in the call."""
        talking = [leg.party for leg in call.legs]
        return self._chance.choice([one for one in call.tenant.people if one not in talking])

    def free_slot(self, tenant: Tenant) -> str:
        """The parking slot of the account to use next."""
        taken = {call.slot for call in self._lives if call.tenant is tenant}
        return next(slot for slot in map(str, count(_FIRST_SLOT)) if slot not in taken)

    def ended(self, call: Call) -> None:
        """The call has ended."""
        self._lives.pop(call, None)

    def drop_all(self) -> None:
        """Forget every call where it stands; nothing is left to be called later."""
        for life in self._lives.values():
            life.drop()
        self._lives.clear()

    def _place(self, tenant: Tenant, caller: Party, dialled: Party, callee: Party) -> None:
        call = Call(self._teller, self._chance, tenant, caller, dialled, callee)
        self._lives[call] = CallScript(self._clock, self._chance, call, self, self._notices)
        call.place()
