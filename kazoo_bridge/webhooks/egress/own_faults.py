"""Distinguishes failures of this node (descriptors, routes, name server, proxy) from a receiver's."""

from __future__ import annotations

import errno

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectBindError, ConnectError, NoRouteError

#: Errors of the operating system for which the receiver is not responsible: no descriptors, memory, local
#: ports or route are left, or a local rule forbids the connection.
_OWN_ERRNOS = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EAGAIN,
        errno.EADDRNOTAVAIL,
        errno.EACCES,
        errno.EPERM,
        errno.ENETDOWN,
        errno.ENETUNREACH,
    }
)


class OwnFault(Exception):
    """A request failed, and not through its receiver: it can succeed later without a change on that side."""


class OwnWaitCancelled(CancelledError):
    """A request was cancelled while it waited for this node's name server or proxy."""


class WaitTimedOut(OwnFault):
    """The time for a request was over before this node's name server or proxy had answered."""

    def __init__(self) -> None:
        super().__init__("the name server or the proxy of this service does not answer")


def is_own_fault(error: BaseException) -> bool:
    """Return whether a request failed with `error` through a fault of this node."""
    if isinstance(error, OwnFault | ConnectBindError | NoRouteError | MemoryError | OwnWaitCancelled):
        return True
    if isinstance(error, ConnectError):
        return error.osError in _OWN_ERRNOS
    return isinstance(error, OSError) and error.errno in _OWN_ERRNOS
