"""Everything between an occurrence and the wire, with a clock of its own."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from zope.interface import implementer

from kazoo_bridge.interfaces import Delivery, Occurrence
from kazoo_bridge.webhooks.attempts.attempt import AttemptRunner
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.delivery.delivery_factory import make_delivery
from kazoo_bridge.webhooks.delivery.delivery_writer import DeliveryWriter
from kazoo_bridge.webhooks.delivery.dispatcher import Dispatcher
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler
from kazoo_bridge.webhooks.delivery.retry_policy import RetryPolicy
from kazoo_bridge.webhooks.delivery.retry_worker import RetryWorker
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from kazoo_bridge.webhooks.http.sender import Sender
from tests.webhooks.hook_factory import ACCOUNT, make_hook
from tests.webhooks.kept_attempts import KeptAttempts
from tests.webhooks.kept_deliveries import KeptDeliveries

REQUEST_TIMEOUT = 10.0


class LongestDelays:
    """Chance that always lets the longest wait happen."""

    def uniform(self, _: float, longest: float) -> float:
        return longest


@implementer(IAgent)
@define
class ScriptedAgent:
    """Fails, answers or hangs as told, and remembers when it was asked by which hook."""

    clock: Clock
    reachable: bool = False
    asked: list[float] = field(factory=list)
    hooks: list[str] = field(factory=list)
    bodies: list[str] = field(factory=list)
    hanging: list[Deferred[IResponse]] = field(factory=list)

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: Any = None
    ) -> Deferred[IResponse]:
        self.asked.append(self.clock.seconds())
        assert headers is not None
        self.hooks.append((headers.getRawHeaders("X-Hook-ID") or [""])[0])
        self.bodies.append(
            getattr(bodyProducer, "_inputFile", None).getvalue().decode() if bodyProducer is not None else ""
        )  # type: ignore[union-attr]
        if not self.reachable:
            return fail(ConnectionRefusedError())
        self.hanging.append(Deferred())
        return self.hanging[-1]


class Stage:
    """The parts, wired as the service wires them. `agent` may be a real one."""

    def __init__(self, clock: Clock, agent: Any, url: str = "http://receiver.example", **limits: Any) -> None:
        self.clock, self.agent, self.url = clock, agent, url
        self.registry, self.kept, self.deliveries = HookRegistry(), KeptAttempts(), KeptDeliveries()
        self.known: set[str] = set()
        self.disabled: list[tuple[str, str]] = []
        self.recorder = AttemptRecorder(clock, self.kept, records_successes=False, body_limit=1000)
        places = {"total": 8, "per_account": 8, "per_hook": 2, **limits}
        self.turns = FairScheduler(clock, **places)
        self.schedule = RetryPolicy([10, 100], random=LongestDelays())  # type: ignore[arg-type]
        sender = Sender(clock, agent, REQUEST_TIMEOUT)
        self.attempter = AttemptRunner(clock, sender, self.turns, self.recorder, self.schedule, self._disable)
        self.pending = DeliveryWriter(clock, self.deliveries)
        self.redelivery = RetryWorker(
            clock,
            self.deliveries,
            self.registry,
            self.turns,
            self.attempter,
            self.pending,
            self._exists,
            REQUEST_TIMEOUT,
        )
        self.dispatcher = Dispatcher(clock, self.registry, self.turns, self.attempter, self.pending)

    def start(self) -> None:
        self.recorder.startService()
        self.pending.startService()
        self.redelivery.startService()

    def stop(self) -> None:
        for service in (self.redelivery, self.pending, self.recorder):
            service.stopService()
        self.turns.stop()

    async def _disable(self, hook: Hook, reason: str) -> None:
        self.disabled.append((hook.id, reason))
        self.registry.remove(hook.id)

    async def _exists(self, hook_id: str) -> bool:
        return hook_id in self.known

    def hook(self, hook_id: str = "h1", **document: Any) -> Hook:
        hook = make_hook(hook_id, uri=document.pop("uri", f"{self.url}/{hook_id}"), **document)
        self.registry.put(hook)
        self.known.add(hook_id)
        return hook

    def delivery(self, hook: Hook, event_id: str = "e1", **payload: Any) -> Delivery:
        occurrence = Occurrence("channel_create", ACCOUNT, {"call_id": "1", **payload})
        return make_delivery(hook, occurrence, event_id, self.clock.seconds())

    def deliver(
        self, hook: Hook, event_id: str = "e1", *, redelivered: bool = False, **payload: Any
    ) -> Deferred[None]:
        work = self.dispatcher.deliver(
            hook, self.delivery(hook, event_id, **payload), redelivered=redelivered
        )
        return Deferred.fromCoroutine(work)

    @property
    def statuses(self) -> list[str]:
        return [row.status for row in self.deliveries.rows.values()]

    def pump(self, seconds: float, step: float = 0.05) -> None:
        """Let time pass in small steps."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)


def scripted(*, reachable: bool = False, started: bool = True, **limits: Any) -> tuple[ScriptedAgent, Stage]:
    """A stage whose receivers are played by an agent that does as it is told."""
    clock = Clock()
    agent = ScriptedAgent(clock, reachable)
    stage = Stage(clock, agent, **limits)
    if started:
        stage.start()
    return agent, stage


def ended(delivery: Deferred[None]) -> list[Any]:
    """What a Deferred has fired with, as it comes."""
    results: list[Any] = []
    delivery.addBoth(results.append)
    return results
