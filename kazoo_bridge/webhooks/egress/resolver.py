"""Resolves host names to the addresses that webhooks may connect to.

A look-up cannot be cancelled, and a name server can be slow on purpose. Therefore look-ups run on a bounded
set of threads of their own (`ThreadedResolver`), and concurrent look-ups of one name share a single look-up
(`CoalescingResolver`).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Any

from attrs import define, field, frozen
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, fail, succeed
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from kazoo_bridge.ip_addresses import is_ip_address
from kazoo_bridge.webhooks.egress.destination import BadDestination, parse_destination
from kazoo_bridge.webhooks.egress.own_faults import OwnFault, OwnWaitCancelled
from kazoo_bridge.webhooks.egress.policy import EgressDenied, EgressPolicy

#: Fires with the numeric addresses of a host name, in the resolver's order; with none if it has no address.
#: Fails with `LookupFailed` if the name server does not say which.
Resolver = Callable[[str], Deferred[list[str]]]

#: Look-ups that may wait for a thread, for each thread.
_MAX_QUEUED_PER_THREAD = 4

#: Answers that say that a name has no address; any other error says nothing about the name.
_NO_SUCH_NAME = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
)

#: The limit keeps a name with hundreds of addresses from turning one attempt into a port scan.
_MAX_ADDRESSES = 8


class TooManyLookups(OwnFault):
    """All threads of the resolver are busy and its queue is full."""

    def __init__(self) -> None:
        super().__init__("too many host names are being looked up just now")


class HostNotFound(Exception):
    """The host name has no address, or its look-up fails while the look-ups of other names succeed."""


class LookupFailed(OwnFault):
    """The name server gives no answer, neither for this name nor, meanwhile, for another one."""


@define(eq=False)
class ThreadedResolver:
    """A `Resolver` on its own threads, which are started when they are first needed.

    `threads` is the number of look-ups that run at once; four times as many more may wait. The threads
    are daemons: a blocked look-up does not delay the end of the process.
    """

    _reactor: Any
    _threads: int
    _in_flight: int = field(init=False, default=0)
    _pool: ThreadPool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._pool = ThreadPool(0, self._threads, "names")
        self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]

    def __call__(self, name: str) -> Deferred[list[str]]:
        """Look up `name` with the system's resolver.

        Fires with its numeric IPv4 and IPv6 addresses, without repetitions; with none if it has none. Fails
        with `LookupFailed` if the name server does not answer, and with `TooManyLookups`.
        """
        if self._in_flight >= self._threads * (1 + _MAX_QUEUED_PER_THREAD):
            return fail(TooManyLookups())
        if not self._pool.started:
            self._pool.start()
        self._in_flight += 1
        return deferToThreadPool(self._reactor, self._pool, _getaddrinfo, name).addBoth(self._finished)

    def _finished(self, result: Any) -> Any:
        self._in_flight -= 1
        return result

    def stop(self) -> None:
        """Stop the threads unless a look-up is in flight; threads that are left end with the process."""
        if self._pool.started and not self._in_flight:
            self._pool.stop()


def _getaddrinfo(name: str) -> list[str]:
    try:
        found = socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)
    except UnicodeError:
        return []
    except OSError as error:
        if isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME:
            return []
        raise LookupFailed(f"the host name {name} could not be looked up: {error.strerror}") from None
    return list(
        dict.fromkeys(
            str(address[0]) for family, *_, address in found if family in (socket.AF_INET, socket.AF_INET6)
        )
    )


def reactor_resolver(reactor: Any) -> Resolver:
    """Return a `Resolver` that uses the reactor's own name resolver (and its shared thread pool)."""

    def resolve(name: str) -> Deferred[list[str]]:
        done: Deferred[list[str]] = Deferred()
        reactor.nameResolver.resolveHostName(_AddressCollector(done), name, 0)
        return done

    return resolve


@implementer(IResolutionReceiver)
@frozen
class _AddressCollector:
    """Fires `done` with the addresses of one look-up."""

    done: Deferred[list[str]]
    addresses: list[str] = field(factory=list)

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Required by the interface; a look-up cannot be cancelled."""

    def addressResolved(self, address: IAddress) -> None:
        """Collect one address of the host."""
        if isinstance(address, IPv4Address | IPv6Address) and address.host not in self.addresses:
            self.addresses.append(address.host)

    def resolutionComplete(self) -> None:
        """Report the collected addresses."""
        self.done.callback(self.addresses)


@define(eq=False)
class CoalescingResolver:
    """Looks up a name at most once at a time: requests for a name in flight wait for that look-up.

    One slow name therefore holds one thread, however many hooks point to it. Results are not cached.

    `answers` counts the look-ups that the name server has answered. A name whose look-up fails while others
    are answered is at fault itself; otherwise the name server is.
    """

    _resolver: Resolver
    answers: int = field(init=False, default=0)
    _waiting: dict[str, list[Deferred[list[str]]]] = field(init=False, factory=dict)

    def addresses(self, host: str) -> Deferred[list[str]]:
        """Resolve `host`, a name or a numeric address; a numeric address is returned without a look-up.

        A name below ``localhost`` is resolved as ``localhost``, whatever the system's resolver knows of it.
        Fires with the numeric addresses in the resolver's order, with none if there are none. Fails like
        the underlying `Resolver`, but with `HostNotFound` instead of `LookupFailed` if another name was
        answered meanwhile. Cancelling affects this caller only.
        """
        if is_ip_address(host):
            return succeed([host])
        name = "localhost" if host.endswith(".localhost") else host
        waiting: Deferred[list[str]] = Deferred()
        if name in self._waiting:
            self._waiting[name].append(waiting)
            return waiting
        self._waiting[name] = [waiting]
        self._resolver(name).addBoth(self._finish, name, self.answers)
        return waiting

    def _finish(self, found: list[str] | Failure, name: str, answers_before: int) -> None:
        if not isinstance(found, Failure):
            self.answers += 1
        elif found.check(LookupFailed) and self.answers != answers_before:
            found = Failure(HostNotFound(str(found.value)))
        for waiting in self._waiting.pop(name):
            if not waiting.called:
                waiting.callback(found if isinstance(found, Failure) else list(found))


async def permitted_addresses(resolver: CoalescingResolver, policy: EgressPolicy, host: str) -> list[str]:
    """Resolve `host` and return the addresses that `policy` permits, at most eight, in the resolver's order.

    Raises `HostNotFound` if the name has no address, `EgressDenied` if none of its addresses is permitted,
    `LookupFailed` and `TooManyLookups`. Cancelled during a look-up it raises `OwnWaitCancelled`, unless other
    names were answered meanwhile.
    """
    answers_before = resolver.answers
    try:
        addresses = await resolver.addresses(host)
    except CancelledError:
        if resolver.answers == answers_before:
            raise OwnWaitCancelled from None
        raise
    if not addresses:
        raise HostNotFound(f"the host name {host} has no address")
    permitted = [address for address in addresses if policy.permits(address)]
    if not permitted:
        # The addresses are left out: customers read this text, and it would map an internal network for them.
        raise EgressDenied(f"webhooks may not go to {host}: the operator forbids the network it is in")
    return permitted[:_MAX_ADDRESSES]


async def denial_reason(
    reactor: Any,
    resolver: CoalescingResolver,
    policy: EgressPolicy,
    uri: str,
    timeout: float,
    *,
    must_resolve: bool = False,
) -> str | None:
    """Return why a hook or command may not have `uri`, as a text for its owner; None if no reason is known.

    A host that cannot be resolved within `timeout` seconds is no reason for denial, as every connection of a
    hook is judged again when it is opened; with `must_resolve` it is one.
    """
    try:
        host = parse_destination(uri).host
        resolved = Deferred.fromCoroutine(permitted_addresses(resolver, policy, host))
        await resolved.addTimeout(timeout, reactor)
    except (EgressDenied, BadDestination) as error:
        return str(error)
    except (HostNotFound, TimeoutError, OwnFault):
        return "the host name cannot be looked up" if must_resolve else None
    return None
