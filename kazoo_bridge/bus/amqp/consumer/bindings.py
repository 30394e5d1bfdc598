"""Keeps the bindings of one queue equal to the wanted topics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.bus.amqp.connection.reconnecting import RETRY_DELAY
from kazoo_bridge.bus.amqp.topology import Topology
from kazoo_bridge.bus.amqp.wire.errors import BrokerClosedChannel, Closed
from kazoo_bridge.interfaces import BusUnavailable, Topic
from kazoo_bridge.kazoo import EXCHANGES

#: Seconds until refused bindings are requested again.
RETRY_INTERVAL = 30.0
#: Seconds after which a broker that has not answered about bindings makes the consumer not ready.
ANSWER_TIMEOUT = 5.0
#: Seconds after which the connection to such a broker is dropped: the next one may be better.
GIVE_UP_TIMEOUT = 60.0
#: Topics of one round. Their waiters fire when the broker has answered about all of them.
BATCH_SIZE = 100


@frozen(eq=False)
class _Target:
    """The queue as it was declared on one connection, and the topics it is bound to there."""

    topology: Topology
    queue_name: str
    bound: set[Topic] = field(factory=set)


@define(eq=False)
class QueueBindings:
    """Binds and unbinds in rounds, one at a time; all requests that arrive during a round share the next one.

    `bind` and `unbind` only change the set of wanted topics and register a waiter, so that no chain of
    Deferreds grows with the number of callers. While there is no connection, callers do not wait: the topics
    are bound on connecting.

    `label` names the queue in messages, `wanted` has the topics in their order. `retry_delay` gives the
    seconds before attempt n (from 0) after a failure.
    """

    log = Logger()

    _clock: IReactorTime
    _label: str
    wanted: dict[Topic, None]
    _retry_delay: Callable[[int], float] = RETRY_DELAY
    #: Topics that the broker has refused and that stay wanted, with the reason.
    refused: dict[Topic, str] = field(init=False, factory=dict)
    #: New topics about which the broker has not answered yet: they are dropped when it refuses them.
    _tentative: set[Topic] = field(init=False, factory=set)
    #: Topics whose binding may differ from what is wanted, in the order in which they are handled.
    _changed: dict[Topic, None] = field(init=False, factory=dict)
    #: Topics with an open request to the broker.
    _in_flight: set[Topic] = field(init=False, factory=set)
    _waiters: dict[Topic, dict[Deferred[None], None]] = field(init=False, factory=dict)
    _connected: bool = field(init=False, default=False)
    _target: _Target | None = field(init=False, default=None)
    _reconciling: _Target | None = field(init=False, default=None)
    _requested_at: float | None = field(init=False, default=None)
    _failure: str | None = field(init=False, default=None)
    _failures: int = field(init=False, default=0)
    _timer: IDelayedCall | None = field(init=False, default=None)
    _give_up_timer: IDelayedCall | None = field(init=False, default=None)

    def bind(self, topic: Topic) -> Deferred[None]:
        """Add a topic.

        Fires once the broker has bound it; at once while disconnected. Fails with `BusUnavailable` when the
        broker refuses it, and then forgets a topic that was not wanted before. May be cancelled.
        """
        if topic not in self.wanted:
            self.wanted[topic] = None
            if self._connected:
                self._tentative.add(topic)
        return self._until_settled(topic)

    def unbind(self, topic: Topic) -> Deferred[None]:
        """Remove a topic. Fires once the broker has removed the binding; at once while disconnected."""
        self.wanted.pop(topic, None)
        self._tentative.discard(topic)
        self.refused.pop(topic, None)
        return self._until_settled(topic)

    def problem(self) -> str | None:
        """Return why wanted topics are not bound; None when all are, but for those of `missing`."""
        if self._requested_at is not None and self._clock.seconds() - self._requested_at > ANSWER_TIMEOUT:
            what = f"the bindings of {self._label}"
            return f"the broker has not answered about {what} for {ANSWER_TIMEOUT:g} seconds"
        if self._failure is not None:
            return f"{self._label} cannot be bound: {self._failure}"
        own = (topic for topic in self.refused if topic.exchange in EXCHANGES)
        return next(map(self._refusal, own), None)

    def missing(self) -> list[str]:
        """Return why topics of exchanges that are not KAZOO's are not bound, one line each.

        These are of plugins: their exchange is missing, and all other topics are bound.
        """
        return [self._refusal(topic) for topic in self.refused if topic.exchange not in EXCHANGES]

    def _refusal(self, topic: Topic) -> str:
        reason = self.refused[topic]
        return f"{self._label} is not bound to {topic.pattern} on exchange {topic.exchange}: {reason}"

    # -- called by the consumer

    def connected(self) -> None:
        """Make `bind` and `unbind` wait for the broker's answer from now on."""
        self._connected = True

    async def attach(self, topology: Topology, queue_name: str) -> None:
        """Bind a queue that was just declared to every wanted topic, and maintain its bindings from now on.

        Returns when the broker has answered about all of them. Raises the exceptions of `Topology`.
        """
        self.detach()
        self._target = target = _Target(topology, queue_name)
        self._changed = dict.fromkeys(self.wanted)
        self.refused.clear()
        await self._reconcile(target)

    def rebind(self, exchange: str) -> None:
        """Bind the topics of an exchange again, because it has lost its bindings."""
        if self._target is not None:
            lost = [topic for topic in self.wanted if topic.exchange == exchange]
            self._target.bound.difference_update(lost)
            self._changed.update(dict.fromkeys(lost))
            self._start()

    def detach(self) -> None:
        """Forget the queue, which is gone. Callers wait for the next one."""
        self._target = self._reconciling = self._failure = None
        self._answered()
        self._in_flight.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def disconnected(self) -> None:
        """Forget the lost connection and fire all waiters: the next connection binds every wanted topic."""
        self._connected = False
        self.detach()
        self.refused.clear()
        self._tentative.clear()
        self._fire(list(self._waiters))

    # -- rounds

    def _until_settled(self, topic: Topic) -> Deferred[None]:
        if not self._connected or self._is_settled(topic):
            return succeed(None)
        waiter: Deferred[None] = Deferred(lambda cancelled: self._forget_waiter(topic, cancelled))
        self._waiters.setdefault(topic, {})[waiter] = None
        self._changed[topic] = None
        self._start()
        return waiter

    def _is_settled(self, topic: Topic) -> bool:
        """Return whether the topic is bound exactly if it is wanted, without an open request about it."""
        bound = self._target is not None and topic in self._target.bound
        return topic not in self._in_flight and bound == (topic in self.wanted)

    def _forget_waiter(self, topic: Topic, waiter: Deferred[None]) -> None:
        waiters = self._waiters.get(topic, {})
        waiters.pop(waiter, None)
        if not waiters:
            self._waiters.pop(topic, None)

    def _start(self) -> None:
        target = self._target
        if target is not None and self._reconciling is None:
            Deferred.fromCoroutine(self._reconcile(target)).addErrback(self._on_failed, target)

    async def _reconcile(self, target: _Target) -> None:
        self._reconciling = target
        try:
            while self._target is target and self._changed:
                await self._run_round(target)
        finally:
            if self._reconciling is target:
                self._reconciling = None
                self._answered()
                self._in_flight.clear()
        if self._target is target:
            self._failure = None
            self._failures = 0
            if self.refused:
                self._retry_after(RETRY_INTERVAL)

    async def _run_round(self, target: _Target) -> None:
        # Half of a round is for callers that wait: after connecting, thousands may be before them.
        awaited = islice((topic for topic in self._waiters if topic in self._changed), BATCH_SIZE // 2)
        batch = list(islice(dict.fromkeys([*awaited, *islice(self._changed, BATCH_SIZE)]), BATCH_SIZE))
        for topic in batch:
            del self._changed[topic]
        missing = [topic for topic in batch if topic in self.wanted and topic not in target.bound]
        obsolete = [topic for topic in batch if topic not in self.wanted and topic in target.bound]
        self._in_flight = {*missing, *obsolete}
        try:
            if missing:
                self._requesting(target)
                refused = await target.topology.bind(target.queue_name, missing)
                target.bound.update(topic for topic in missing if topic not in refused)
                if self._target is not target:
                    return
                self._in_flight.difference_update(missing)
                self._note_refusals(missing, refused)
                self._settle(missing, target)
            if obsolete:
                self._requesting(target)
                await target.topology.unbind(target.queue_name, obsolete)
                target.bound.difference_update(obsolete)
        except BaseException:
            if self._target is target:
                self._changed = {**dict.fromkeys(batch), **self._changed}
            raise
        if self._target is target:
            self._in_flight.clear()
            self._settle(batch, target)

    def _requesting(self, target: _Target) -> None:
        """Note that the broker must answer now, and drop its connection if it does not."""
        self._requested_at = self._clock.seconds()
        if self._give_up_timer is not None:
            self._give_up_timer.reset(GIVE_UP_TIMEOUT)
        else:
            self._give_up_timer = self._clock.callLater(GIVE_UP_TIMEOUT, self._give_up, target)

    def _answered(self) -> None:
        """Note that the broker owes no answer."""
        self._requested_at = None
        if self._give_up_timer is not None:
            self._give_up_timer.cancel()
            self._give_up_timer = None

    def _give_up(self, target: _Target) -> None:
        self._give_up_timer = None
        reason = f"no answer about the bindings of {self._label} for {GIVE_UP_TIMEOUT:g} seconds"
        self.log.error("dropping the connection to the broker: {reason}", reason=reason)
        target.topology.abort(reason)

    def _note_refusals(self, requested: Iterable[Topic], refused: dict[Topic, BrokerClosedChannel]) -> None:
        failed: list[Topic] = []
        for topic in requested:
            is_tentative = topic in self._tentative
            self._tentative.discard(topic)
            if topic not in refused:
                self.refused.pop(topic, None)
            elif topic in self.wanted:
                failed.append(topic)
                if is_tentative:
                    del self.wanted[topic]
                else:
                    self.refused[topic] = refused[topic].text
        for topic in failed:
            reason = refused[topic].text
            text = f"{self._label} cannot be bound to {topic.pattern} on exchange {topic.exchange}: {reason}"
            self._fire([topic], BusUnavailable(text))

    def _settle(self, topics: Iterable[Topic], target: _Target) -> None:
        """Fire the waiters of the topics that are bound exactly if they are wanted."""
        self._fire([topic for topic in topics if (topic in target.bound) == (topic in self.wanted)])

    def _fire(self, topics: Sequence[Topic], error: BusUnavailable | None = None) -> None:
        # Callbacks may register new waiters, which belong to a later round.
        waiters = [waiter for topic in topics for waiter in self._waiters.pop(topic, {})]
        for waiter in waiters:
            if waiter.called:
                continue
            if error is None:
                waiter.callback(None)
            else:
                waiter.errback(error)

    def _on_failed(self, failure: Failure, target: _Target) -> None:
        if self._target is not target:
            return
        self._failure = failure.getErrorMessage()
        delay = self._retry_delay(self._failures)
        self._failures += 1
        if failure.check(Closed):
            # Usually the connection has ended, and the next one declares everything anew.
            self.log.info("binding {queue} failed: {reason}", queue=self._label, reason=self._failure)
        else:
            self.log.failure(
                "binding {queue} failed; trying again in {delay:.1f} s",
                failure,
                queue=self._label,
                delay=delay,
            )
        self._retry_after(delay)

    def _retry_after(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(seconds, self._retry)
        elif self._timer.getTime() > self._clock.seconds() + seconds:
            self._timer.reset(seconds)

    def _retry(self) -> None:
        self._timer = None
        self._changed.update(dict.fromkeys(self.refused))
        self._start()
