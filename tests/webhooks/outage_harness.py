"""The webhooks of one node with the default configuration, a SQLite file and a receiver, on a `Clock`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from kazoo_bridge.config import Config, Webhooks
from kazoo_bridge.interfaces import (
    EventHandler,
    IBus,
    IConsumer,
    IDirectory,
    IEventCategory,
    Queue,
    StoredHook,
)
from kazoo_bridge.kazoo import Event
from kazoo_bridge.storage.attempts import AttemptStore
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.deliveries import DeliveryStore
from kazoo_bridge.storage.hooks import HookStore
from kazoo_bridge.storage.missed_events import MissedEventStore
from kazoo_bridge.storage.settings import LimitStore
from kazoo_bridge.webhooks.event_handler import when_ended
from kazoo_bridge.webhooks.http.sender import Sender
from kazoo_bridge.webhooks.http_client import HookHttpClient
from kazoo_bridge.webhooks.service import WebhookService, WebhookStores
from tests.storage.sqlite_template import make_migrated_database
from tests.webhooks.fakes import FakeBus, FakeCategory, FakeDirectory, FakeResponse
from tests.webhooks.harness import results_of
from tests.webhooks.hook_factory import ACCOUNT

T = TypeVar("T")


class InlineDatabase(Database):
    """Runs every transaction at once, in the calling thread."""

    def _submit(self, threads: Any, work: Callable[[], T]) -> Deferred[T]:
        try:
            return succeed(work())
        except Exception:
            return fail()


class Receiver:
    """A web server: answers 200, or with `status`, and while `away` refuses connections."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.away = False
        self.status = 200
        #: The time of each request that reached it or would have, and the ids of the accepted ones.
        self.times: list[float] = []
        self.accepted: list[str] = []
        self.in_flight = self.most_in_flight = 0
        #: Ids of deliveries that it answers with 500.
        self.refused: set[str] = set()
        #: Seconds that an answer takes.
        self.delay = 0.01

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: Any = None
    ) -> Deferred[IResponse]:
        self.times.append(self.clock.seconds())
        if self.away:
            return fail(ConnectionRefusedError())
        assert headers is not None
        (name,) = headers.getRawHeaders("webhook-id") or [""]
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        answer: Deferred[IResponse] = Deferred()
        self.clock.callLater(self.delay, self._answer, answer, name)
        return answer

    def _answer(self, answer: Deferred[Any], name: str) -> None:
        self.in_flight -= 1
        status = 500 if name in self.refused else self.status
        if status == 200:
            self.accepted.append(name)
        answer.callback(FakeResponse(status, Headers({})))


class SilentBus(FakeBus):
    """Delivers nothing by itself."""

    def consume(self, queue: Queue, handler: EventHandler) -> IConsumer:
        return cast(IConsumer, None)


class HttpClient:
    """In the place of `HookHttpClient`."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender

    async def check_uri(self, uri: str) -> str | None:
        return None

    async def close(self) -> None:
        pass


class OutageHarness:
    """The webhooks of one node, with one hook. More nodes can share its storage, see `add_node`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **webhooks: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000.0)
        self.receiver = Receiver(self.clock)
        self.bus = SilentBus()
        sender = Sender(self.clock, cast(Any, self.receiver), 10.0)
        monkeypatch.setattr(HookHttpClient, "from_config", classmethod(lambda *_: HttpClient(sender)))
        self.config = Config(webhooks=Webhooks(**webhooks))
        self.database = InlineDatabase(self.clock, make_migrated_database(folder / "bridge.sqlite3"))
        self.hook_store = HookStore(self.clock, self.database)
        self.deliveries = DeliveryStore(self.database)
        self.nodes: list[WebhookService] = []
        self.node = self.add_node()
        document = {"name": "n", "uri": "http://receiver.example/", "hook": "channel_create"}
        self.hook_id = self._result(self.node.hooks.create(ACCOUNT, document)).id
        self.published: list[str] = []
        #: What the handler of events has returned for each; `[None]` is an acknowledgement.
        self.acknowledgements: list[list[Any]] = []

    def add_node(self) -> WebhookService:
        """Start webhooks on the same storage and the same receiver."""
        node = WebhookService.from_config(
            self.clock,
            self.config,
            cast(IBus, self.bus),
            cast(IDirectory, FakeDirectory({ACCOUNT: ()})),
            WebhookStores(
                self.hook_store,
                AttemptStore(self.database),
                self.deliveries,
                MissedEventStore(self.database),
                LimitStore(self.database),
                cluster_id=lambda: succeed("c1"),
            ),
            [cast(IEventCategory, FakeCategory())],
            f"node{len(self.nodes)}",
            self._on_account_deleted,
        )
        self._result(node.load())
        self._result(node.hooks.load())
        node.start()
        self.nodes.append(node)
        return node

    async def _on_account_deleted(self, account_id: str) -> None:
        pass

    def reload(self) -> None:
        """Let every node read the hook again, as the change feed does."""
        for node in self.nodes:
            self._result(node.hooks.reload([self.hook_id]))

    def publish(self, seconds: float, interval: float = 0.5, call_id: str = "") -> None:
        """Let one event come each `interval` seconds, for so many seconds.

        They are about one call, or without `call_id` each about another one.
        """
        for _ in range(round(seconds / interval)):
            name = f"call-{len(self.published)}"
            self.published.append(name)
            body = {"account": ACCOUNT, "payload": {"call_id": call_id or name}}
            event = Event("callevt", f"x.{name}", body, raw=name.encode())
            node = self.nodes[len(self.published) % len(self.nodes)]
            self.acknowledgements.append(results_of(when_ended(node.event_handler.handle(event))))
            self.clock.advance(0)  # the end of the turn, in which the request is sent
            self.pass_time(interval, step=min(interval, 15.0))

    def pass_time(self, seconds: float, step: float = 0.25) -> None:
        """Let time pass."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)

    @property
    def hook(self) -> StoredHook:
        hook = self._result(self.hook_store.get(ACCOUNT, self.hook_id))
        assert isinstance(hook, StoredHook)
        return hook

    @property
    def enabled(self) -> bool:
        return bool(self.hook.document["enabled"])

    @property
    def health(self) -> Any:
        return self._result(self.node.health.for_hook(self.hook))

    @property
    def notifications(self) -> Counter[str]:
        return Counter(
            body["Event-Name"] for exchange, _, body in self.bus.published if exchange == "notifications"
        )

    def run(self, work: Any) -> Any:
        """Return the result of a coroutine, which must not wait for time."""
        return self._result(work)

    @staticmethod
    def _result(work: Any) -> Any:
        deferred = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
        (result,) = results_of(deferred)
        return result
