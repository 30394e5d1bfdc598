from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve

from kazoo_bridge.interfaces import Principal
from kazoo_bridge.websockets.server.frames import CloseCode
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.sessions.session_registry import SWEEPS_PER_CHECK
from tests.websockets.fakes import CHILD, PARENT, STRANGER, FakeOutput, PartsHarness


def errors(output: FakeOutput) -> list[Any]:
    """The data of the error replies that were sent."""
    replies = [json.loads(text) for text in output.replies]
    assert all(reply["status"] == "error" and len(reply["request_id"]) == 32 for reply in replies)
    return [reply["data"] for reply in replies]


class TestOpenAndFind:
    def test_a_session_is_named_by_the_clients_address(self) -> None:
        its = PartsHarness()
        session = its.registry.open("192.0.2.1", 4000)
        assert (session.id, session.source, session.destination) == ("192.0.2.1:4000", "192.0.2.1", "host")
        assert its.registry.find("192.0.2.1:4000") is session
        assert its.registry.find("192.0.2.1:4001") is None
        assert (list(its.registry), len(its.registry)) == ([session], 1)

    def test_clients_with_the_same_address_get_different_names(self) -> None:
        its = PartsHarness()
        sessions = [its.registry.open("local", 0) for _ in range(3)]
        assert [session.id for session in sessions] == ["local:0", "local:0+1", "local:0+2"]
        assert len(its.registry) == 3

    def test_the_rate_limit_is_that_of_the_configuration(self) -> None:
        its = PartsHarness(rate_burst=2, rate_per_second=4)
        session = its.registry.open("local", 0)
        assert [session.bucket.take(its.clock.seconds()) for _ in range(3)] == [True, True, False]
        assert session.bucket.take(its.clock.seconds() + 0.25)


class TestAccountLimit:
    def test_connected_sessions_of_the_account_count(self) -> None:
        its = PartsHarness(max_connections_per_account=2)
        for port in range(2):
            its.connect(PARENT, port)
        its.connect(CHILD, 2)
        assert not its.registry.exceeds_account_limit(PARENT)
        third, _ = its.connect(PARENT, 3)
        assert its.registry.exceeds_account_limit(PARENT)
        third.disconnect()
        assert not its.registry.exceeds_account_limit(PARENT)

    def test_zero_means_no_limit(self) -> None:
        its = PartsHarness(max_connections_per_account=0)
        its.connect(PARENT)
        assert not its.registry.exceeds_account_limit(PARENT)


class TestEnd:
    def test_the_client_receives_the_notice_and_then_the_close_code(self) -> None:
        its = PartsHarness()
        session, output = its.connect()
        its.subscribe(session, "parking.*", "calls")
        its.registry.end(session, CloseCode.CLOSED_BY_OPERATOR, "closed", "by an operator")
        assert errors(output) == [{"errors": ["by an operator"]}]
        assert output.closed == [(4403, "closed")]
        assert session.ended
        assert not session.subscription_count
        assert not its.consumer.bound
        assert not its.calls.active_watches
        assert its.registry.find(session.id) is None
        assert its.registry.closed_by_code == {4403: 1}

    def test_a_session_ends_once(self) -> None:
        its = PartsHarness()
        session, output = its.connect()
        for _ in range(2):
            its.registry.end(session, CloseCode.IDLE, "idle")
        assert output.closed == [(1000, "idle")]
        assert its.registry.closed_by_code == {1000: 1}

    def test_without_a_code_nothing_is_closed(self) -> None:
        its = PartsHarness()
        session, output = its.connect()
        its.registry.end(session, notice="not sent")
        assert session.ended
        assert (output.replies, output.closed, its.registry.closed_by_code) == ([], [], {})

    def test_without_a_connection_nothing_is_closed(self) -> None:
        its = PartsHarness()
        session, output = its.connect()
        its.registry.make_resumable(session, 1)
        its.registry.disconnected(session, output)
        its.registry.end(session, CloseCode.GOING_AWAY, "away")
        assert (output.closed, its.registry.closed_by_code) == ([], {})


class TestDisconnected:
    def test_a_session_ends_with_its_connection(self) -> None:
        its = PartsHarness()
        session, output = its.connect()
        its.subscribe(session, "parking.*")
        its.registry.disconnected(session, output)
        assert session.ended
        assert not its.consumer.bound
        assert len(its.registry) == 0

    def test_a_resumable_session_outlives_it(self) -> None:
        its = PartsHarness()
        session, output = its.connect()
        its.registry.make_resumable(session, 1)
        its.clock.advance(5)
        its.registry.disconnected(session, output)
        assert not session.ended
        assert not session.is_connected
        assert session.disconnected_at == its.clock.seconds()

    def test_the_loss_of_an_earlier_connection_changes_nothing(self) -> None:
        its = PartsHarness()
        session, output = its.connect()
        session.connect(FakeOutput())
        its.registry.disconnected(session, output)
        assert session.is_connected
        assert not session.ended

    def leave(self, its: PartsHarness, account_id: str, count: int) -> list[Session]:
        """Let resumable sessions of the account lose their connections, one a second."""
        sessions = []
        for _ in range(count):
            session, output = its.connect(account_id, port=len(its.registry) + 1)
            its.registry.make_resumable(session, 1)
            its.clock.advance(1)
            its.registry.disconnected(session, output)
            sessions.append(session)
        return sessions

    def test_the_account_with_the_most_waiting_sessions_makes_room_with_its_oldest(self) -> None:
        its = PartsHarness()
        its.registry.limits = evolve(its.registry.limits, max_disconnected=20)
        victims = self.leave(its, STRANGER, 3)
        attackers = self.leave(its, PARENT, 60)
        connected, _ = its.connect(STRANGER, port=1000)
        its.registry.make_resumable(connected, 1)
        assert not any(session.ended for session in [*victims, connected])
        assert [session.ended for session in attackers] == [True] * 43 + [False] * 17
        assert len(its.registry) == 21

    def test_the_waiting_sessions_of_one_account_are_limited_like_its_sockets(self) -> None:
        its = PartsHarness(max_connections_per_account=3)
        others = self.leave(its, STRANGER, 2)
        sessions = self.leave(its, PARENT, 5)
        assert [session.ended for session in sessions] == [True, True, False, False, False]
        assert not any(session.ended for session in others)

    def test_a_session_that_was_resumed_waits_no_more(self) -> None:
        its = PartsHarness(max_connections_per_account=1)
        (first,) = self.leave(its, PARENT, 1)
        again, output = its.connect(PARENT, port=2)
        its.registry.take_over(first, again)
        (second,) = self.leave(its, PARENT, 1)
        assert not first.ended
        its.registry.disconnected(first, output)
        assert second.ended
        assert not first.ended


class TestResume:
    def test_a_resumable_session_is_found_by_its_account_only(self) -> None:
        its = PartsHarness()
        session, _ = its.connect(PARENT)
        token = its.registry.make_resumable(session, 1).token
        assert its.registry.find_resumable(token, PARENT) is session
        assert its.registry.find_resumable(token, CHILD) is None
        assert its.registry.find_resumable("unknown", PARENT) is None
        its.registry.end(session)
        assert its.registry.find_resumable(token, PARENT) is None

    def test_a_session_has_one_replay_buffer(self) -> None:
        its = PartsHarness(resume_events=7)
        session, _ = its.connect()
        replay_buffer = its.registry.make_resumable(session, 3)
        assert its.registry.make_resumable(session, 4) is replay_buffer
        assert (replay_buffer.max_events, replay_buffer.interruptions) == (7, 3)

    def test_a_session_is_taken_over_with_the_new_connection_and_rights(self) -> None:
        its = PartsHarness()
        resumed, old_output = its.connect(port=1)
        its.registry.make_resumable(resumed, 1)
        its.clock.advance(10)
        replaced, new_output = its.connect(port=2)
        replaced.principal = Principal(PARENT, expires=5.0)
        its.registry.take_over(resumed, replaced)
        assert old_output.closed == [(4409, "resumed on another connection")]
        assert (resumed.id, resumed.output, resumed.principal) == (
            "192.0.2.1:2",
            new_output,
            replaced.principal,
        )
        assert (resumed.bucket, resumed.last_seen) == (replaced.bucket, its.clock.seconds())
        assert replaced.ended
        assert not replaced.is_connected
        assert list(its.registry) == [resumed]
        assert its.registry.find("192.0.2.1:2") is resumed


class TestSweep:
    def sweep(self, its: PartsHarness, seconds: int) -> None:
        """Let the periodic checks run for so many seconds."""
        if not its.registry.running:
            its.registry.startService()
        its.clock.pump([1.0] * seconds)

    def test_a_client_must_authenticate_in_time(self) -> None:
        its = PartsHarness(authentication_timeout_s=10)
        _, output = its.connect(None, 1)
        _, authenticated = its.connect(PARENT, 2)
        self.sweep(its, 10)
        assert output.closed == []
        self.sweep(its, 1)
        assert output.closed == [(4408, "not authenticated in time")]
        assert errors(output) == [{"errors": ["authentication token required"]}]
        assert authenticated.closed == []

    def test_a_client_that_neither_subscribes_nor_sends_is_closed(self) -> None:
        its = PartsHarness(idle_timeout_s=10)
        _, idle = its.connect(PARENT, 1)
        session, subscribed = its.connect(PARENT, 2)
        its.subscribe(session, "parking.*")
        watching, calls = its.connect(PARENT, 3)
        its.subscribe(watching, "calls")
        active, sending = its.connect(PARENT, 4)
        self.sweep(its, 10)
        active.last_seen = its.clock.seconds()
        assert idle.closed == []
        self.sweep(its, 1)
        assert idle.closed == [(1000, "idle")]
        assert [output.closed for output in (subscribed, calls, sending)] == [[], [], []]

    def test_a_disconnected_session_ends_after_the_resume_window(self) -> None:
        its = PartsHarness(resume_window_s=5)
        session, output = its.connect()
        its.registry.make_resumable(session, 1)
        its.registry.disconnected(session, output)
        self.sweep(its, 5)
        assert not session.ended
        self.sweep(its, 1)
        assert session.ended

    def test_a_revoked_token_closes_its_sessions_within_three_seconds(self) -> None:
        its = PartsHarness()
        outputs = [its.connect(PARENT, port)[1] for port in range(4)]
        _, other = its.connect(STRANGER, 9)
        del its.directory.tokens[PARENT]
        self.sweep(its, SWEEPS_PER_CHECK)
        for output in outputs:
            assert output.closed == [(4401, "the token is no longer valid")]
        assert other.closed == []

    def test_each_sweep_checks_a_third_of_the_sessions(self) -> None:
        its = PartsHarness()
        outputs = [its.connect(PARENT, port)[1] for port in range(9)]
        del its.directory.tokens[PARENT]
        self.sweep(its, 1)
        assert sum(bool(output.closed) for output in outputs) == 3

    def test_all_sessions_are_checked_when_rights_have_changed(self) -> None:
        its = PartsHarness()
        outputs = [its.connect(PARENT, port)[1] for port in range(9)]
        _, other = its.connect(STRANGER, 9)
        its.registry.startService()
        del its.directory.tokens[PARENT]
        its.registry.check_rights()
        assert [output.closed for output in outputs] == [[(4401, "the token is no longer valid")]] * 9
        assert other.closed == []

    @pytest.mark.parametrize("port", range(3))
    def test_a_token_that_expires_closes_its_session_within_a_second(self, port: int) -> None:
        its = PartsHarness()
        for earlier in range(port):
            its.connect(STRANGER, earlier)
        session, output = its.connect(PARENT, port)
        its.subscribe(session, "parking.*")
        session.principal = Principal(PARENT, expires=its.clock.seconds() + 1.5)
        self.sweep(its, 1)
        assert output.closed == []
        self.sweep(its, 1)
        assert output.closed == [(4401, "the token is no longer valid")]
        assert not its.consumer.bound

    def test_a_session_may_outlive_its_token_but_not_its_account(self) -> None:
        its = PartsHarness(close_on_expiry=False)
        session, output = its.connect(PARENT)
        its.subscribe(session, "parking.*")
        session.principal = Principal(PARENT, expires=its.clock.seconds() + 1.5)
        self.sweep(its, 2 * SWEEPS_PER_CHECK)
        assert output.closed == []
        assert session.bindings == ["parking.*"]
        del its.directory.parents[PARENT]
        self.sweep(its, SWEEPS_PER_CHECK)
        assert output.closed == [(4401, "the account is no more")]

    def test_an_account_that_is_gone_takes_its_subscriptions_along(self) -> None:
        its = PartsHarness()
        session, output = its.connect(PARENT)
        its.subscribe(session, "parking.*")
        its.subscribe(session, "call.*.*", "fax.status.*", "calls", account_id=CHILD)
        del its.directory.parents[CHILD]
        self.sweep(its, SWEEPS_PER_CHECK)
        assert errors(output) == [
            {
                "errors": ["unauthorized account id"],
                "account_id": CHILD,
                "unsubscribed": ["call.*.*", "fax.status.*", "calls"],
                "subscribed": ["parking.*"],
            }
        ]
        assert output.closed == []
        assert not its.calls.active_watches

    def test_the_sessions_of_an_account_that_is_gone_are_closed(self) -> None:
        its = PartsHarness()
        session, output = its.connect(PARENT)
        its.subscribe(session, "parking.*")
        del its.directory.parents[PARENT]
        self.sweep(its, SWEEPS_PER_CHECK)
        assert output.closed == [(4401, "the account is no more")]

    def test_subscriptions_are_taken_from_a_disconnected_session_too(self) -> None:
        its = PartsHarness()
        session, output = its.connect(PARENT)
        its.subscribe(session, "parking.*", account_id=CHILD)
        its.registry.make_resumable(session, 1)
        its.registry.disconnected(session, output)
        del its.directory.parents[CHILD]
        self.sweep(its, SWEEPS_PER_CHECK)
        assert not session.subscription_count
        assert output.replies == []

    def test_stopping_closes_every_session_and_leaves_no_delayed_call(self) -> None:
        its = PartsHarness()
        _, output = its.connect()
        its.registry.startService()
        its.registry.stopService()
        assert output.closed == [(1001, "the server is going away")]
        assert len(its.registry) == 0
        assert not its.clock.getDelayedCalls()
