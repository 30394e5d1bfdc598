"""What can go wrong when a node starts, and opening its ports."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError

T = TypeVar("T")


class StartupFailed(Exception):
    """The node cannot start. The text names the configuration key and the reason."""


class StoppedWhileStarting(Exception):
    """The node was stopped before it had started."""


async def open_port(key: str, endpoint: str, opening: Deferred[T]) -> T:
    """Wait for `opening`; its failure is `StartupFailed` with the name of the configuration key."""
    try:
        return await opening
    except CannotListenError as error:
        reason = error.socketError
    except LookupError as error:
        # A systemd: endpoint looks for its socket among those that were inherited.
        reason = "systemd has not passed this socket" if "systemd:" in endpoint else error
    except Exception as error:
        # Endpoints are plugins that may raise anything.
        reason = error
    raise StartupFailed(f"{key}: cannot listen on {endpoint}: {reason}")
