"""Notices a broker that is alive, because it sends heartbeats, but no longer answers requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds without an answer on a channel that has open requests, after which the broker counts as stuck.
#: Thousands of requests may take longer, as long as answers continue to come.
REQUEST_TIMEOUT = 60.0
#: Seconds between two checks.
CHECK_INTERVAL = 5.0


@define(eq=False)
class RequestWatch:
    """Watches the open requests of all `channels` (by number) of one connection, at no cost per request.

    `is_paused` returns whether the broker has a known reason not to answer. `on_stuck` is called once, with
    the number of the channel.
    """

    _clock: IReactorTime
    _channels: Mapping[int, Any]
    _is_paused: Callable[[], bool]
    _on_stuck: Callable[[int], None]
    #: By channel with open requests: the number of answers so far, and when the latest of them was seen.
    _since: dict[int, tuple[int, float]] = field(init=False, factory=dict)
    _timer: IDelayedCall | None = field(init=False, default=None)

    def start(self) -> None:
        """Start to check."""
        self._timer = self._clock.callLater(CHECK_INTERVAL, self._check)

    def stop(self) -> None:
        """Check no more."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _check(self) -> None:
        self.start()
        now, before = self._clock.seconds(), self._since
        self._since = {}
        if self._is_paused():
            return
        for number, channel in self._channels.items():
            responses = channel.responses
            if not responses.waiting:
                continue
            answers, since = before.get(number, (-1, now))
            if answers != responses.count:
                since = now
            elif now - since >= REQUEST_TIMEOUT:
                self.stop()
                self._on_stuck(number)
                return
            self._since[number] = (responses.count, since)
