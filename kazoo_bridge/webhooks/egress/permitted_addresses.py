"""From host names to addresses that webhooks may go to."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.python.failure import Failure

from kazoo_bridge.ip_addresses import is_ip_address
from kazoo_bridge.webhooks.egress.destination import BadDestination, parse_destination
from kazoo_bridge.webhooks.egress.policy import EgressDenied, EgressPolicy
from kazoo_bridge.webhooks.egress.resolver import Resolver, TooManyLookups

#: No more of a host's addresses are tried: an answer full of them shall not make a scanner of us.
_MAX_ADDRESSES = 8


class HostNotFound(Exception):
    """The host name has no address, or none was told in time."""


@define(eq=False)
class CoalescingResolver:
    """Looks names up. Whoever asks for a name that is being looked up already waits with the others: look-ups hold threads, and a
    name server that is slow on purpose shall hold one of them and not all.
    """

    _resolver: Resolver
    _waiting: dict[str, list[Deferred[list[str]]]] = field(init=False, factory=dict)

    def addresses(self, host: str) -> Deferred[list[str]]:
        """The numeric addresses of `host`, in the resolver's order; empty when there are none. Fails as `Resolver` does."""
        if is_ip_address(host):
            return succeed([host])
        # Whatever the system knows of them, names below localhost are this machine.
        name = "localhost" if host.endswith(".localhost") else host
        mine: Deferred[list[str]] = Deferred()
        if name in self._waiting:
            self._waiting[name].append(mine)
            return mine
        self._waiting[name] = [mine]
        self._resolver(name).addBoth(self._resolve, name)
        return mine

    def _resolve(self, found: list[str] | Failure, name: str) -> None:
        for one in self._waiting.pop(name):
            if not one.called:
                one.callback(found if isinstance(found, Failure) else list(found))


async def permitted_addresses(lookups: CoalescingResolver, policy: EgressPolicy, host: str) -> list[str]:
    """The host's addresses that the policy permits; raises `HostNotFound` or `EgressDenied` when that leaves none."""
    addresses = await lookups.addresses(host)
    if not addresses:
        raise HostNotFound(f"the host name {host} has no address")
    permitted = [address for address in addresses if policy.permits(address)]
    if not permitted:
        # Its addresses are not told: customers read this, and they are the inside of somebody's network.
        raise EgressDenied(f"webhooks may not go to {host}: the operator forbids the network it is in")
    return permitted[:_MAX_ADDRESSES]


async def denial_reason(
    reactor: Any, lookups: CoalescingResolver, policy: EgressPolicy, uri: str, timeout: float
) -> str | None:
    """Why a hook may not have this URI, as far as that can be told today; None: no reason known.

    A host that cannot be looked up within `timeout` seconds gives no reason: it is judged again at every connection.
    """
    try:
        host = parse_destination(uri).host
        looked_up = Deferred.fromCoroutine(permitted_addresses(lookups, policy, host))
        await looked_up.addTimeout(timeout, reactor)
    except (EgressDenied, BadDestination) as error:
        return str(error)
    except (HostNotFound, TimeoutError, TooManyLookups):
        return None
    return None
