"""The workers of a node: its first process starts them, and starts them again when they end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

from attrs import define, field
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.config import ConfigError
from kazoo_bridge.node.processes.combined_metrics import combine, export
from kazoo_bridge.node.processes.link import Message
from kazoo_bridge.node.processes.worker_process import ENDED, WorkerProcess

_log = Logger()

#: Seconds until a worker that has ended is started again: the first time, and at most.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0

#: Seconds after which a worker has started well: when it ends later, the next start is soon.
SETTLED_AFTER = 60.0

#: Seconds between two checks for signs of life, and checks without one until a worker is killed: once it has
#: shown one, and while it starts, which lasts on a machine whose processes start all at once.
WATCH_INTERVAL, MAX_QUIET_CHECKS, MAX_START_CHECKS = 5.0, 12, 60

#: Seconds that workers have to answer.
ANSWER_TIMEOUT = 1.0

#: Seconds that workers have to stop, besides those for requests in flight: more than a node needs.
STOP_TIMEOUT = 30.0

#: Seconds that they have after a forced stop: as much as a node needs whose broker and storage do not answer.
FORCED_STOP_TIMEOUT = 8.0

#: Seconds in which workers end that were killed, unless they wait for a disk that does not answer.
KILL_TIMEOUT = 2.0


@define(eq=False)
class _Place:
    """The place of one worker: the process that runs, or the call that starts the next one."""

    process: WorkerProcess | None = None
    started_at: float = 0
    pause: float = FIRST_PAUSE
    timer: IDelayedCall | None = None


@define(eq=False)
class Workers:
    """Workers with the numbers from 2 to `processes`; none for a node of one process.

    `spawn` starts the worker with a number; it may raise `OSError` and `ConfigError`. `write_log`
    writes what workers print. `drain_timeout`: the seconds that requests in flight have when a worker stops.
    """

    _clock: IReactorTime
    processes: int = 1
    _spawn: Callable[[int, WorkerProcess], None] = lambda _number, _worker: None
    _write_log: Callable[[bytes], None] = lambda _lines: None
    _drain_timeout: float = 0
    _places: dict[int, _Place] = field(init=False, factory=dict)
    _watch: LoopingCall = field(init=False)
    _deadline: IDelayedCall | None = field(init=False, default=None)
    _stopping: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self._watch = LoopingCall(self._check_life)
        self._watch.clock = self._clock

    def start(self) -> None:
        """Start all workers."""
        if self.processes == 1 or self._stopping:
            return
        for number in range(2, self.processes + 1):
            self._places[number] = _Place()
            self._start(number)
        watching = self._watch.start(WATCH_INTERVAL, now=False)
        watching.addErrback(lambda failure: _log.failure("workers are not watched", failure))

    async def stop(self, forced: Deferred[None]) -> None:
        """Let all workers drain, and wait in bounds until they have ended; `forced` shortens the waiting."""
        self._stopping = True
        if self._watch.running:
            self._watch.stop()
        for place in self._places.values():
            if place.timer is not None and place.timer.active():
                place.timer.cancel()
        running = dict(self._running())
        for worker in running.values():
            worker.stop()
        self._deadline = self._clock.callLater(self._drain_timeout + STOP_TIMEOUT, self._end, running)
        forced.addCallback(lambda _: self._hurry(running))
        for worker in running.values():
            await worker.ended
        if self._deadline.active():
            self._deadline.cancel()

    def _hurry(self, workers: dict[int, WorkerProcess]) -> None:
        for worker in workers.values():
            worker.order("force")
        if self._deadline is not None and self._deadline.active():
            time_left = self._deadline.getTime() - self._clock.seconds()
            self._deadline.reset(min(time_left, FORCED_STOP_TIMEOUT))

    def _end(self, workers: dict[int, WorkerProcess]) -> None:
        """Kill those that still run, and then wait no longer."""
        running = {number: one for number, one in workers.items() if not one.ended.called}
        self._deadline = self._clock.callLater(KILL_TIMEOUT, self._give_up, running)
        self._kill(running)

    def _give_up(self, workers: dict[int, WorkerProcess]) -> None:
        for number, worker in workers.items():
            if not worker.ended.called:
                _log.error("process {number} of this node does not end", number=number)
                worker.give_up()

    def order(self, what: str) -> None:
        """Send ``reload`` or ``status`` to all workers."""
        for _, worker in self._running():
            worker.order(what)

    def problems(self) -> list[str]:
        """Return what is wrong with each worker, as ``process 2: …``."""
        return [
            f"process {number}: {reason}"
            for number, place in self._places.items()
            if (reason := ENDED if place.process is None else place.process.problem)
        ]

    async def look(self) -> None:
        """Let all workers read what this process has written to the storage, and wait for it in bounds.

        Workers that drain begin no deliveries, and those that start read it before they do: these are not
        asked.
        """
        if not self._stopping:
            await _all_answers(self._ask_all("look"))

    async def add_metrics(self, reading: Awaitable[CollectorRegistry]) -> CollectorRegistry:
        """Return this process' metrics with those of the workers, or only its own for a node of one process.

        `reading` has the metrics of this process. Those of a worker that does not answer in time are left
        out.
        """
        if self.processes == 1:
            return await reading
        asked = self._ask_all("metrics")
        own = export(await reading)
        answers = await _all_answers(asked)
        return combine({1: own, **{number: answer["metrics"] for number, answer in answers.items()}})

    def _ask_all(self, what: str) -> dict[int, Deferred[Message | None]]:
        return {
            number: worker.ask(what, ANSWER_TIMEOUT)
            for number, worker in self._running()
            if worker.can_answer
        }

    def _running(self) -> Iterable[tuple[int, WorkerProcess]]:
        return (
            (number, place.process) for number, place in self._places.items() if place.process is not None
        )

    def _start(self, number: int) -> None:
        place = self._places[number]
        place.process = WorkerProcess(self._clock, self._write_log, partial(self._on_ended, number))
        place.started_at = self._clock.seconds()
        try:
            self._spawn(number, place.process)
        except (OSError, ConfigError):
            # The system has no more descriptors or processes at the moment, or the file was changed.
            place.process.processEnded(Failure())

    def _on_ended(self, number: int, reason: Failure) -> None:
        place = self._places[number]
        settled = self._clock.seconds() - place.started_at >= SETTLED_AFTER
        place.process = None
        if self._stopping:
            return
        pause = place.pause = FIRST_PAUSE if settled else place.pause
        _log.error(
            "process {number} of this node has ended ({reason}), next start in {pause} s",
            number=number,
            reason=reason.getErrorMessage(),
            pause=pause,
        )
        place.timer = self._clock.callLater(pause, self._start, number)
        place.pause = min(2 * pause, LONGEST_PAUSE)

    def _check_life(self) -> None:
        self._kill(
            {
                number: one
                for number, one in self._running()
                if one.check_life() > (MAX_QUIET_CHECKS if one.follows_orders else MAX_START_CHECKS)
            }
        )

    def _kill(self, workers: dict[int, WorkerProcess]) -> None:
        for number, worker in workers.items():
            if worker.kill():
                _log.error("process {number} of this node hangs and is killed", number=number)


async def _all_answers(asked: Mapping[int, Deferred[Message | None]]) -> dict[int, Message]:
    """Wait for all answers. A caller that is cancelled leaves them to their time-outs."""
    return {number: answer for number, one in asked.items() if (answer := await one) is not None}
