"""Looks host names up: on threads of one's own, or as the reactor does."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Any

from attrs import define, field, frozen
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IHostResolution
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

#: From a host name to its numeric addresses, in the resolver's order; empty when it has none.
Resolver = Callable[[str], Deferred[list[str]]]

#: Look-ups that wait for a thread, for each thread.
_WAITING = 4


class TooManyLookups(Exception):
    """So many names are being looked up that another one is not even begun."""

    def __init__(self) -> None:
        super().__init__("too many host names are being looked up just now")


@define(eq=False)
class ThreadedResolver:
    """A look-up cannot be stopped, and a name server that is slow on purpose holds a thread for half a minute. Whoever may not wait for
    others' names has threads of its own; they are started as they are needed.
    """

    _reactor: Any
    _threads: int
    _in_flight: int = field(init=False, default=0)
    _pool: ThreadPool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._pool = ThreadPool(0, self._threads, "names")
        # The process does not wait for name servers when it ends.
        self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]

    def __call__(self, name: str) -> Deferred[list[str]]:
        """See `Resolver`; fails with `TooManyLookups`."""
        if self._in_flight >= self._threads * (1 + _WAITING):
            return fail(TooManyLookups())
        if not self._pool.started:
            self._pool.start()
        self._in_flight += 1
        return deferToThreadPool(self._reactor, self._pool, _resolve, name).addBoth(self._ended)

    def _ended(self, result: Any) -> Any:
        self._in_flight -= 1
        return result

    def stop(self) -> None:
        """End the threads, if nothing keeps them."""
        if self._pool.started and not self._in_flight:
            self._pool.stop()


def _resolve(name: str) -> list[str]:
    try:
        found = socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(
        dict.fromkeys(
            str(address[0]) for family, *_, address in found if family in (socket.AF_INET, socket.AF_INET6)
        )
    )


def reactor_resolver(reactor: Any) -> Resolver:
    """As the reactor looks names up."""

    def look_up(name: str) -> Deferred[list[str]]:
        done: Deferred[list[str]] = Deferred()
        reactor.nameResolver.resolveHostName(_Resolution(done), name, 0)
        return done

    return look_up


@frozen
class _Resolution:
    """Collects the addresses of one look-up."""

    done: Deferred[list[str]]
    addresses: list[str] = field(factory=list)

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        """Nothing to do: a look-up cannot be stopped."""

    def addressResolved(self, address: Any) -> None:
        """One address of the host."""
        if isinstance(address, IPv4Address | IPv6Address) and address.host not in self.addresses:
            self.addresses.append(address.host)

    def resolutionComplete(self) -> None:
        """No more addresses will come."""
        self.done.callback(self.addresses)
