"""Notifies systemd when the node is ready, that it still runs, and when it stops (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

_log = Logger()


@define(eq=False)
class SystemdNotifier:
    """Sends the state of the service to its manager, and keeps the watchdog quiet while the reactor runs.

    `send` receives lines such as ``READY=1``. `watchdog_interval`: the seconds between two signs of life;
    None: the manager expects none.
    """

    _clock: IReactorTime
    _send: Callable[[str], None]
    _watchdog_interval: float | None = None
    _watchdog: LoopingCall = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._watchdog = LoopingCall(self._send, "WATCHDOG=1")
        self._watchdog.clock = self._clock

    @classmethod
    def from_environment(cls, clock: IReactorTime, environment: Mapping[str, str]) -> SystemdNotifier:
        """Return a notifier of the manager that `environment` names; without one it does nothing.

        Read are ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` (microseconds) and ``WATCHDOG_PID``, as systemd sets
        them for ``Type=notify`` and ``WatchdogSec=``. A sign of life is sent twice in the watchdog's time.
        """
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return cls(clock, _send_nothing)
        watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environment.get("WATCHDOG_USEC", "")
        interval = int(microseconds) / 2e6 if watched and microseconds.isdecimal() else 0
        return cls(clock, ManagerSocket(address).send, interval or None)

    def ready(self, status: str) -> None:
        """Report that the service has started; `status` is what ``systemctl status`` shows."""
        self._send(f"READY=1\nSTATUS={status}")
        if self._watchdog_interval is not None and not self._watchdog.running:
            running = self._watchdog.start(self._watchdog_interval)
            running.addErrback(lambda failure: _log.failure("no more signs of life", failure))

    def stopping(self) -> None:
        """Report that the service drains; it still shows signs of life."""
        self._send("STOPPING=1\nSTATUS=draining")

    def close(self) -> None:
        """Show no more signs of life."""
        if self._watchdog.running:
            self._watchdog.stop()


@define(eq=False)
class ManagerSocket:
    """The datagram socket of systemd at `address`, a path, or ``@NAME`` in Linux's abstract namespace."""

    _address: str

    def send(self, state: str) -> None:
        """Send `state` at once; a manager that does not take it is logged."""
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
                sending.setblocking(False)
                sending.sendto(state.encode(), address)
        except OSError as error:
            _log.warn(
                "systemd at {address} does not take {state}: {error}",
                address=self._address,
                state=state.partition("\n")[0],
                error=error,
            )


def _send_nothing(_state: str) -> None:
    """There is no manager."""
