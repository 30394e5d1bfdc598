"""Keeps hooks from attempting again and again what cannot connect: one circuit for each destination.

A destination is what a connection is made to: scheme, host and port of a hook's URI. An account can have a
thousand hooks to one host. When that host is down, each of them would find out by itself, with every event.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import lru_cache

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.webhooks.egress import BadDestination, parse_destination
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.sender import Outcome

_log = Logger()

#: Hooks that must fail to connect, with no response to any of them in between, to open a circuit. Fewer hooks
#: cost little, and their own circuits bound them.
CIRCUIT_HOOKS = 4

#: Seconds between two groups of attempts at a destination whose circuit is open: a little less than between
#: two polls of the storage.
PROBE_INTERVAL = 0.9

#: Attempts of one group, all of one hook. With as many failed events a hook is suspended by default.
PROBE_GROUP = 6

#: Seconds after which a group follows one without a result: its connections hang, or another node has made
#: it.
GROUP_TIMEOUT = 5.0

#: Seconds without a failure after which a circuit is forgotten.
CIRCUIT_TIMEOUT = 60.0

#: Destinations that are remembered; beyond it, those that failed longest ago are forgotten.
_MAX_DESTINATIONS = 10_000


@define(eq=False)
class _Circuit:
    """What is known of a destination that cannot be connected to. Times are in Unix seconds.

    `hooks`: the hooks that failed while it was closed. `last_hook`: the last one with an attempt in a group.
    """

    failed_at: float
    hooks: set[str] = field(factory=set)
    open: bool = False
    group_at: float = 0.0
    last_hook: str = ""

    def may_probe(self, now: float) -> bool:
        """Return whether the next group of attempts may begin."""
        elapsed = now - self.group_at
        return elapsed >= (PROBE_INTERVAL if self.failed_at >= self.group_at else GROUP_TIMEOUT)


@define(eq=False)
class DestinationCircuits:
    """Opens a circuit when several hooks in a row cannot connect to their destination, whatever their URIs.

    While it is open, their deliveries are stored without an attempt, and nothing is counted against a hook
    that was not attempted. A group of stored deliveries is attempted every `PROBE_INTERVAL` seconds. Any
    response closes the circuit and calls `on_closed`: what waits is due at once.

    Only failures to connect count: a destination that answers is connected, whatever it answers. Hooks that
    events bring take no part, as they share a queue for each receiver.
    """

    _clock: IReactorTime
    _on_closed: Callable[[], None]
    #: The destinations that are known to fail. While there is none, responses need not be recorded.
    circuits: OrderedDict[str, _Circuit] = field(init=False, factory=OrderedDict)

    def is_open(self, hook: Hook) -> bool:
        """Return whether the circuit of the hook's destination is open."""
        if not self.circuits:
            return False
        circuit = self._find(hook)
        return circuit is not None and circuit.open

    def just_failed(self, hook: Hook) -> bool:
        """Return whether the circuit is open and an attempt has failed within `PROBE_INTERVAL` seconds."""
        circuit = self._find(hook)
        if circuit is None or not circuit.open:
            return False
        return self._clock.seconds() - circuit.failed_at < PROBE_INTERVAL

    def record(self, hook: Hook, outcome: Outcome) -> None:
        """Open or close the circuit of the hook's destination by the outcome of an attempt."""
        if outcome.unreachable:
            self._on_failure(hook)
        elif outcome.status is not None and self.circuits:
            self._on_response(hook)

    def allot(self, hooks: Iterable[Hook], free_slots: Callable[[str], int]) -> dict[str, int]:
        """Return how many stored deliveries to attempt now, by hook id, and count them as a group.

        `hooks` have due deliveries and an open circuit; `free_slots` returns how many requests a hook may
        begin. A group is of one hook, and the hooks take turns.
        """
        by_destination: dict[str, list[Hook]] = {}
        for hook in hooks:
            by_destination.setdefault(_destination(hook.uri), []).append(hook)
        counts: dict[str, int] = {}
        now = self._clock.seconds()
        for destination, waiting in by_destination.items():
            circuit = self.circuits.get(destination)
            if circuit is not None and circuit.may_probe(now):
                counts |= _group(circuit, waiting, free_slots)
                circuit.group_at = now
        return counts

    def _find(self, hook: Hook) -> _Circuit | None:
        if not hook.revision:
            return None
        destination = _destination(hook.uri)
        circuit = self.circuits.get(destination)
        if circuit is not None and self._clock.seconds() - circuit.failed_at >= CIRCUIT_TIMEOUT:
            del self.circuits[destination]
            return None
        return circuit

    def _on_failure(self, hook: Hook) -> None:
        destination = _destination(hook.uri)
        if not hook.revision or not destination:
            return
        now = self._clock.seconds()
        circuit = self._find(hook)
        if circuit is None:
            circuit = self.circuits[destination] = _Circuit(now)
        circuit.failed_at = now
        self.circuits.move_to_end(destination)
        if len(self.circuits) > _MAX_DESTINATIONS:
            self.circuits.popitem(last=False)
        if circuit.open:
            return
        circuit.hooks.add(hook.id)
        if len(circuit.hooks) >= CIRCUIT_HOOKS:
            circuit.open, circuit.group_at = True, now
            circuit.hooks.clear()
            _log.info("destination unreachable, deliveries to it wait: {name}", name=destination)

    def _on_response(self, hook: Hook) -> None:
        circuit = self.circuits.pop(_destination(hook.uri), None) if hook.revision else None
        if circuit is not None and circuit.open:
            _log.info("destination reachable again: {name}", name=_destination(hook.uri))
            self._on_closed()


def _group(circuit: _Circuit, waiting: list[Hook], free_slots: Callable[[str], int]) -> dict[str, int]:
    """Return the next hook that may send, and how many of its deliveries to attempt."""
    for hook_id in sorted((hook.id for hook in waiting), key=lambda one: (one <= circuit.last_hook, one)):
        count = min(PROBE_GROUP, free_slots(hook_id))
        if count > 0:
            circuit.last_hook = hook_id
            return {hook_id: count}
    return {}


@lru_cache(maxsize=8192)
def _destination(uri: str) -> str:
    """Return scheme, host and port of a hook's URI; empty if it cannot be requested."""
    try:
        destination = parse_destination(uri)
    except BadDestination:
        return ""
    return f"{destination.scheme}://{destination.host}:{destination.port}"
