"""One tenant's subscriptions and sessions must not cost the others theirs."""

from __future__ import annotations

import time
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet.defer import Deferred

from kazoo_bridge.interfaces import BindingRefused, Principal, Topic
from kazoo_bridge.kazoo import account_db
from kazoo_bridge.testing import make_event
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.subscriptions import subscription_budget, work_pacer
from kazoo_bridge.websockets.subscriptions.bind_queue import MAX_IN_FLIGHT, BindQueue
from kazoo_bridge.websockets.subscriptions.release_queue import INTERVAL
from kazoo_bridge.websockets.subscriptions.subscription_budget import SubscribingTooFast
from kazoo_bridge.websockets.subscriptions.subscription_index import MAX_ACCOUNT_TOPICS
from tests.websockets.conftest import harness
from tests.websockets.fakes import CHILD, PARENT, STRANGER, SUPERADMIN, PartsHarness
from tests.websockets.harness import RESELLER, Harness

__all__ = ["harness"]

#: Seconds of CPU; what is measured takes a tenth of it on an idle machine.
GENEROUS = 3.0

#: Seconds of CPU of one step that nothing divides.
MAX_STRETCH = 0.5


class Stretches:
    """Measures the longest of several stretches of work, in seconds of CPU."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.process_time()

    def __exit__(self, *error: object) -> None:
        self.longest = max(self.longest, time.process_time() - self._began)


def finished(its: PartsHarness, subscribing: Deferred[None]) -> BaseException | None:
    """Let a subscription finish; returns why it was refused."""
    results: list[Any] = []
    subscribing.addBoth(results.append)
    for _ in range(100):
        if not results:
            its.clock.advance(work_pacer.INTERVAL)
    assert results, "it still waits"
    return None if results[0] is None else results[0].value


def call_event(account_id: str, call_id: str) -> Any:
    body = {"Event-Name": "CHANNEL_CREATE", "Custom-Channel-Vars": {"Account-ID": account_id}}
    return make_event("callevt", f"call.CHANNEL_CREATE.{call_id}", body)


class TestTopics:
    def test_churning_calls_binds_nothing_more_at_the_broker(self) -> None:
        its = PartsHarness(max_subscriptions=1000)
        sockets = [its.connect(PARENT, port)[0] for port in range(3)]
        bound: set[Topic] = set()
        for number in range(3):
            for socket in sockets:
                bindings = [f"call.*.{number}-{call}" for call in range(100)]
                assert finished(its, its.subscribe(socket, *bindings)) is None
                bound |= its.consumer.bound
                its.subscriptions.unsubscribe(socket, None, None)
        assert len(bound) == 9
        assert not its.consumer.bound

    def test_all_events_of_a_call_cost_one_entry(self) -> None:
        its = PartsHarness(max_subscriptions=1000)
        socket, _ = its.connect(PARENT)
        assert finished(its, its.subscribe(socket, *(f"call.*.{call}" for call in range(1000)))) is None
        (index,) = its.fanout.index._categories.values()
        assert len(index.groups) == len(index.table) == 1000
        assert len({id(subscription.topics) for subscription in socket.subscriptions.values()}) == 1
        assert its.fanout.index.topics.total() == 9

    def test_churning_is_slowed_down_for_the_account_and_for_no_other(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(subscription_budget, "WORK_BURST", 3000)
        monkeypatch.setattr(subscription_budget, "WORK_PER_SECOND", 1)
        its = PartsHarness(max_subscriptions=1000)
        sockets = [its.connect(PARENT, port)[0] for port in range(3)]
        bindings = [f"fax.status.{number}" for number in range(1000)]
        rounds = 0
        while rounds < 100:
            socket = sockets[rounds % 3]
            error = finished(its, its.subscribe(socket, *bindings))
            if error is not None:
                break
            rounds += 1
            its.subscriptions.unsubscribe(socket, None, None)
        assert isinstance(error, SubscribingTooFast)
        assert rounds == 3
        other, _ = its.connect(STRANGER, 10)
        assert finished(its, its.subscribe(other, "parking.*", account_id=STRANGER)) is None

    def test_unsubscribing_thousands_takes_turns_with_others(self) -> None:
        its = PartsHarness(max_subscriptions=5000)
        socket, _ = its.connect(PARENT)
        bindings = [f"call.*.{number}" for number in range(4000)]
        assert finished(its, its.subscribe(socket, *bindings)) is None
        its.clock.advance(1)
        ended: list[list[str]] = []
        ending = Deferred.fromCoroutine(its.subscriptions.request_unsubscribe(socket, PARENT, []))
        ending.addCallback(ended.append)
        assert socket.subscription_count >= 3000
        its.clock.pump([work_pacer.INTERVAL] * 20)
        assert ended == [bindings]
        assert not its.consumer.bound

    def test_unsubscribing_what_was_never_subscribed_takes_turns_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        its = PartsHarness(max_subscriptions=5000)
        socket, _ = its.connect(PARENT)
        bindings = [f"call.*.{number}" for number in range(4000)]
        resolved: list[str] = []
        resolve = type(its.subscriptions.catalogue).resolve

        def counted(catalogue: Any, binding: str, *more: Any) -> Any:
            resolved.append(binding)
            return resolve(catalogue, binding, *more)

        monkeypatch.setattr(type(its.subscriptions.catalogue), "resolve", counted)
        its.clock.advance(1)
        ended: list[list[str]] = []
        Deferred.fromCoroutine(its.subscriptions.request_unsubscribe(socket, PARENT, bindings)).addCallback(
            ended.append
        )
        assert len(resolved) <= 500
        its.clock.pump([work_pacer.INTERVAL] * 20)
        assert ended == [bindings]
        assert resolved == bindings

    def test_a_subscribe_does_not_wait_behind_another_accounts_nine_thousand(self) -> None:
        its = PartsHarness()
        wanted = {Topic("e", f"{number}") for number in range(9000)} | {Topic("e", "mine")}
        asked: list[str] = []
        answers: list[Deferred[None]] = []

        class SlowConsumer:
            def bind(self, topic: Topic) -> Deferred[None]:
                asked.append(topic.pattern)
                answers.append(Deferred())
                return answers[-1]

        consumer: Any = SlowConsumer()
        queue = BindQueue(its.clock, consumer, wanted)
        for number in range(9000):
            queue.bind(Topic("e", f"{number}"), PARENT)
        queue.bind(Topic("e", "mine"), STRANGER)
        while "mine" not in asked:
            answers.pop(0).callback(None)
        assert len(asked) <= MAX_IN_FLIGHT + 2
        queue.stop()

    def test_thousands_of_accounts_need_few_topics(self) -> None:
        its = PartsHarness(max_subscriptions=5000)
        for number in range(5000):
            account_id = f"{number:032x}"
            its.directory.parents[account_id] = None
        admin, output = its.connect(SUPERADMIN)
        for number in range(5000):
            error = finished(its, its.subscribe(admin, "object.*.*", account_id=f"{number:032x}"))
            assert error is None
            its.clock.advance(0.1)
        assert len(its.consumer.bound) <= MAX_ACCOUNT_TOPICS + 2
        for number in (0, 4999):
            key = f"doc_edited.{account_db(f'{number:032x}')}.user.u1"
            its.fanout.handle(make_event("configuration", key, {"Event-Name": "doc_edited"}))
        assert len(output.events) == 2

    def test_commands_without_an_account_are_not_a_siblings(self) -> None:
        its = PartsHarness()
        (sibling, heard), (admin, heard_too) = its.connect(CHILD), its.connect(SUPERADMIN, 2)
        its.subscribe(sibling, "conference.command.secret", account_id=CHILD)
        its.subscribe(admin, "conference.command.secret", account_id=SUPERADMIN)
        its.fanout.handle(make_event("conference", "conference.command.secret", {}, envelope=False))
        assert (len(heard.events), len(heard_too.events)) == (0, 1)


class TestSpellings:
    def test_a_thousand_spellings_of_one_binding_are_one_frame_for_each_socket(self) -> None:
        its = PartsHarness(max_subscriptions=1000, max_subscriptions_per_account=0)
        clients = [its.connect(PARENT, port) for port in range(10)]
        for session, _ in clients:
            bindings = [f"doc_edited.{number}.*.*" for number in range(1000)]
            assert finished(its, its.subscribe(session, *bindings)) is None
        key = f"doc_edited.{account_db(PARENT)}.user.u1"
        started = time.process_time()
        its.fanout.handle(make_event("configuration", key, {"Event-Name": "doc_edited"}))
        assert [len(output.events) for _, output in clients] == [1] * 10
        assert len({id(frame) for _, output in clients for frame, _ in output.events}) == 1
        assert time.process_time() - started < 0.3

    def test_the_spellings_of_an_id_are_one(self) -> None:
        its = PartsHarness()
        session, output = its.connect(PARENT)
        spellings = ["call.*.a@b", "call.*.a%40b", "call.*.%61@b", "call.*.%61%40%62"]
        assert finished(its, its.subscribe(session, *spellings)) is None
        its.fanout.handle(call_event(PARENT, "a%40b"))
        assert len(output.events) == 1


class TestBounds:
    def test_sockets_of_one_account_share_a_bound_of_subscriptions(self) -> None:
        its = PartsHarness(max_subscriptions=1000, max_subscriptions_per_account=2500)
        sockets = [its.connect(PARENT, port)[0] for port in range(5)]
        errors = [
            finished(its, its.subscribe(socket, *(f"fax.status.{number}" for number in range(1000))))
            for socket in sockets
        ]
        assert [error is None for error in errors] == [True, True, False, False, False]
        assert isinstance(errors[-1], BindingRefused)
        assert str(errors[-1]) == "the sockets of an account can have at most 2500 subscriptions together"
        stranger, _ = its.connect(STRANGER, 100)
        assert finished(its, its.subscribe(stranger, "fax.status.*", account_id=STRANGER)) is None

    def test_sockets_with_thousands_of_subscriptions_that_drop_at_once_let_others_continue(self) -> None:
        its = PartsHarness(max_subscriptions=1000)
        sockets = [its.connect(PARENT, port)[0] for port in range(8)]
        for socket in sockets:
            assert finished(its, its.subscribe(socket, *(f"fax.status.{one}" for one in range(500)))) is None
            its.clock.advance(10)
        for socket in sockets:
            its.registry.end(socket)
        assert its.subscription_budget.subscriptions[PARENT] == 3000
        its.clock.pump([INTERVAL] * 4)
        assert not its.subscription_budget.subscriptions
        assert not its.consumer.bound

    def test_the_number_of_sockets_is_checked_at_a_cost_that_does_not_grow(self) -> None:
        its = PartsHarness(max_connections_per_account=4000)
        for port in range(4000):
            its.connect(PARENT, port)
        started = time.process_time()
        for _ in range(4000):
            assert not its.registry.exceeds_account_limit(PARENT)
        assert time.process_time() - started < 0.3
        its.connect(PARENT, 4000)
        assert its.registry.exceeds_account_limit(PARENT)


class TestResuming:
    def leave(self, its: PartsHarness, account_id: str, count: int, *bindings: str) -> list[Session]:
        sessions = []
        for _ in range(count):
            session, output = its.connect(account_id, port=len(its.registry) + 1)
            its.registry.make_resumable(session, 1)
            if bindings:
                assert finished(its, its.subscribe(session, *bindings, account_id=account_id)) is None
            its.registry.disconnected(session, output)
            sessions.append(session)
        return sessions

    def test_a_thousand_abandoned_sessions_do_not_evict_another_accounts(self) -> None:
        its = PartsHarness()
        its.registry.limits = evolve(its.registry.limits, max_disconnected=1000)
        (victim,) = self.leave(its, STRANGER, 1)
        attackers = self.leave(its, PARENT, 1010)
        assert not victim.ended
        assert [session.ended for session in attackers] == [True] * 11 + [False] * 999

    def test_the_events_kept_for_one_account_take_nothing_from_another(self) -> None:
        its = PartsHarness(resume_bytes_per_account=200_000, resume_bytes=1_000_000)
        (victim,) = self.leave(its, STRANGER, 1, "call.*.*")
        # Own bindings: no two sessions share a frame.
        attackers = [
            session for number in range(20) for session in self.leave(its, PARENT, 1, f"call.*.{number}")
        ]
        its.fanout.handle(call_event(STRANGER, "mine"))
        body = {"Event-Name": "CHANNEL_CREATE", "Custom-Channel-Vars": {"Account-ID": PARENT}}
        for number in range(400):
            key = f"call.CHANNEL_CREATE.{number % 20}"
            its.fanout.handle(make_event("callevt", key, {**body, "From": "x" * 5000}))
        memory = its.registry.replay_memory
        assert memory.bytes_by_account[PARENT] <= 200_000
        assert victim.replay_buffer is not None
        assert len(victim.replay_buffer.after(0)) == 1
        assert not victim.replay_buffer.has_gap(0)
        for session in [victim, *attackers]:
            its.registry.end(session)
        assert memory.bytes_total == 0

    @pytest.mark.parametrize("own_calls", [False, True])
    def test_three_thousand_sessions_are_cut_and_resumed_without_a_gap(self, own_calls: bool) -> None:
        its = PartsHarness()
        its.directory.tokens[PARENT] = Principal(PARENT)
        clients = [its.connect(PARENT, port) for port in range(3000)]
        for number, (session, _) in enumerate(clients):
            its.registry.make_resumable(session, 1)
            binding = f"call.CHANNEL_CREATE.{number}" if own_calls else "call.CHANNEL_CREATE.*"
            assert finished(its, its.subscribe(session, "parking.*", binding)) is None
            its.clock.advance(0.01)
        # Processor time of all steps, and of the longest one that turns do not divide: the end of
        # a connection, an event for all sessions, a resumption.
        started, longest = time.process_time(), Stretches()
        for session, output in clients:
            with longest:
                its.registry.disconnected(session, output)
        for number in range(5):
            with longest:
                its.fanout.handle(call_event(PARENT, str(number)))
        for number, (session, _) in enumerate(clients):
            replaced, again = its.connect(PARENT, 10_000 + number)
            replay_buffer = session.replay_buffer
            assert replay_buffer is not None
            with longest:
                assert its.registry.find_resumable(replay_buffer.token, PARENT) is session
                its.registry.take_over(session, replaced)
            assert not replay_buffer.has_gap(0)
            assert len(replay_buffer.after(0)) == (number < 5 if own_calls else 5)
            assert session.output is again
        for session, _ in clients:
            its.registry.end(session)
        its.subscriptions.stop()
        assert time.process_time() - started < GENEROUS
        assert longest.longest < MAX_STRETCH
        assert not its.consumer.bound
        assert not its.registry.connected


@pytest_twisted.ensureDeferred
async def test_over_sockets_one_tenant_churns_and_another_subscribes(harness: Harness) -> None:
    attacker, victim = await harness.connect(RESELLER), await harness.connect(RESELLER)
    for number in range(3):
        bindings = [f"call.*.{number}-{call}" for call in range(900)]
        data = {"account_id": RESELLER, "bindings": bindings}
        assert (await attacker.request("subscribe", data))["status"] == "success"
        assert len(harness.websockets.fanout.index.topics) == 9
        assert (await attacker.request("unsubscribe", {}))["status"] == "success"
    data = {"account_id": RESELLER, "binding": "call.*.*"}
    assert (await victim.request("subscribe", data))["status"] == "success"
    await harness.publish_call(RESELLER)
    assert (await victim.event())["name"] == "CHANNEL_CREATE"
