"""The current simulated calls, and new ones between random parties."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import count

from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.demo.call import Call
from kazoo_bridge.demo.call_script import CallScript
from kazoo_bridge.demo.event_publisher import EventPublisher
from kazoo_bridge.demo.leg import Leg
from kazoo_bridge.demo.notifications import NotificationPublisher
from kazoo_bridge.demo.phase import Phase
from kazoo_bridge.demo.tenants import OUTSIDERS, Party, Tenant

_FIRST_SLOT = 101


class SimulatedCalls:
    """The current calls, at most `max_calls`."""

    def __init__(
        self,
        clock: IReactorTime,
        rng: random.Random,
        publisher: EventPublisher,
        tenants: Sequence[Tenant],
        notifications: NotificationPublisher,
        max_calls: int,
        on_step: Callable[[Call], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._publisher = publisher
        self._notifications = notifications
        self._tenants = tenants
        self._max_calls = max_calls
        self._on_call_step = on_step
        #: The people who do not want to be disturbed.
        self.undisturbed: set[Party] = set()
        self._scripts: dict[Call, CallScript] = {}

    def __len__(self) -> int:
        """Return the number of calls."""
        return len(self._scripts)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._scripts))

    def legs(self, account_id: str | None = None) -> list[Leg]:
        """Return the legs of all calls, or of one account's calls."""
        return [leg for call in self._scripts for leg in call.legs if account_id in (None, call.tenant.id)]

    def find(self, leg_id: str) -> tuple[Call, Leg] | None:
        """Return the leg with the id and its call; None if there is none."""
        return next(((call, leg) for call in self._scripts for leg in call.legs if leg.id == leg_id), None)

    def start_call(self) -> None:
        """Start a call between random parties, unless there are `max_calls` already."""
        if len(self._scripts) >= self._max_calls:
            return
        tenant = self._rng.choice(self._tenants)
        colleague, other = self._rng.sample(tenant.people, 2)
        outsider = self._rng.choice(OUTSIDERS)
        draw = self._rng.random()
        if draw < 0.5:
            self._place_call(tenant, outsider, Party(tenant.name, tenant.number), colleague)
        elif draw < 0.75:
            self._place_call(tenant, colleague, outsider, outsider)
        else:
            self._place_call(tenant, colleague, other, other)

    def colleague(self, call: Call) -> Party:
        """Return a person of the call's account who is not in the call."""
        talking = [leg.party for leg in call.legs]
        return self._rng.choice([person for person in call.tenant.people if person not in talking])

    def free_slot(self, tenant: Tenant) -> str:
        """Return a free parking slot of the account."""
        taken = {call.slot for call in self._scripts if call.tenant is tenant}
        return next(slot for slot in map(str, count(_FIRST_SLOT)) if slot not in taken)

    def is_available(self, party: Party) -> bool:
        """Return False for a person who does not want to be disturbed."""
        return party not in self.undisturbed

    def tenant(self, account_id: object) -> Tenant | None:
        """Return the account of this id; None if there is none."""
        return next((tenant for tenant in self._tenants if tenant.id == account_id), None)

    def in_slot(self, tenant: Tenant, slot: str) -> Call | None:
        """Return the account's call that is parked in a slot."""
        return next((call for call in self._scripts if call.tenant is tenant and call.slot == slot), None)

    def originate(
        self, tenant: Tenant, party: Party, to: Party, leg_id: str, on_outcome: Callable[[str | None], None]
    ) -> Call:
        """Let a party's telephone ring, and dial `to` when it is answered.

        `on_outcome` receives the cause of a failure, or None for an answer. `max_calls` does not bound this.
        """
        call = Call(self._publisher, self._rng, tenant, party, to, to, self._on_step, leg_id, on_outcome)
        call.commanded = True
        self._follow(call)
        return call

    def place_routed(self, tenant: Tenant, caller: Party, called_party: Party, callee: Party) -> Call | None:
        """Start a call that waits until it is routed; None if there are `max_calls` already."""
        if len(self._scripts) >= self._max_calls:
            return None
        call = Call(self._publisher, self._rng, tenant, caller, called_party, callee, self._on_step)
        call.phase = Phase.ROUTING
        self._follow(call)
        return call

    def retrieve(self, parked: Call, retrieving: Call) -> None:
        """Connect the first leg of another call to a parked call."""
        leg = retrieving.first
        retrieving.phase = Phase.OVER  # without events: its leg goes on
        self._on_step(retrieving)
        parked.retrieve(leg.party, leg)

    def _follow(self, call: Call) -> None:
        self._scripts[call] = CallScript(self._clock, self._rng, call, self, self._notifications)
        call.place()

    def _on_step(self, call: Call) -> None:
        self._on_call_step(call)
        if call.phase is Phase.OVER:
            self._scripts.pop(call).stop()
        else:
            self._scripts[call].plan_next_step()

    def drop_all(self) -> None:
        """Drop all calls without events, and cancel their delayed calls."""
        for script in self._scripts.values():
            script.stop()
        self._scripts.clear()

    def _place_call(self, tenant: Tenant, caller: Party, called_party: Party, callee: Party) -> None:
        self._follow(Call(self._publisher, self._rng, tenant, caller, called_party, callee, self._on_step))
