from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs

from kazoo_bridge.config import Websockets
from kazoo_bridge.interfaces import ALL_ACCOUNTS
from kazoo_bridge.websockets.actions import MAX_EXCESS_MESSAGES, Actions
from kazoo_bridge.websockets.server.connection import Connection, ConnectionLimits
from kazoo_bridge.websockets.server.flusher import Flusher
from kazoo_bridge.websockets.server.frames import EventFrame
from kazoo_bridge.websockets.sessions.resume import SessionResumer
from kazoo_bridge.websockets.sessions.session import Session
from tests.websockets.fakes import CHILD, PARENT, STRANGER, SUPERADMIN, FakeTransport, PartsHarness


class LineEncoder:
    """Encodes each text as a line."""

    deflate = shares_frames = False

    def event(self, session: Session, frame: EventFrame, sequenced: bool) -> bytes:
        return frame.text(sequenced) + b"\n"

    def text(self, text: bytes) -> bytes:
        return text + b"\n"


class FakeClient:
    """A client on a connection of its own."""

    def __init__(self, its: ActionsHarness, session: Session) -> None:
        self.its = its
        self.transport = FakeTransport()
        self.closed: list[tuple[int, str]] = []
        self.connection = Connection(
            session,
            self.transport,
            Flusher(its.clock),
            ConnectionLimits.from_config(Websockets()),
            LineEncoder(),
            lambda code, reason: self.closed.append((code, reason)),
            lambda connection: None,
        )
        session.connect(self.connection)

    @property
    def session(self) -> Session:
        return self.connection.session

    def messages(self) -> list[Any]:
        """What was sent to the client since the last call."""
        self.its.clock.advance(1)
        written, self.transport.written = b"".join(self.transport.written), []
        return [json.loads(line) for line in written.splitlines()]

    def send(self, message: Any) -> Any:
        """Send a message; returns the reply, None if there is none."""
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        if self.its.actions.within_rate(self.connection, payload):
            Deferred.fromCoroutine(self.its.actions.handle(self.connection, payload))
        messages = self.messages()
        return messages[0] if messages else None

    def request(self, action: str, data: Any = None, **more: Any) -> tuple[str, Any]:
        """Send a message; returns status and data of the reply."""
        reply = self.send({"action": action, "data": data, "request_id": "r1", **more})
        assert (reply["action"], reply["request_id"]) == ("reply", "r1")
        return reply["status"], reply["data"]


class ActionsHarness(PartsHarness):
    """Actions over fakes, without the network."""

    def __init__(self, *, with_calls: bool = True, **settings: Any) -> None:
        super().__init__(**settings)
        calls: Any = self.calls if with_calls else None
        resumer = SessionResumer(self.registry, self.fanout)
        self.actions = Actions(self.clock, self.registry, self.authorizer, self.subscriptions, resumer, calls)

    def client(self, account_id: str | None = PARENT, port: int = 1) -> FakeClient:
        """A client, authenticated unless `account_id` is None."""
        client = FakeClient(self, self.registry.open("192.0.2.1", port))
        if account_id is not None:
            client.session.authenticate(account_id, self.directory.tokens[account_id])
        return client


def error(*texts: str) -> tuple[str, Any]:
    return "error", {"errors": list(texts)}


class TestAuthentication:
    def test_the_first_message_needs_a_token_and_the_others_do_not(self) -> None:
        harness = ActionsHarness()
        client = harness.client(None)
        assert client.request("ping") == error("authentication token required")
        assert client.request("ping", auth_token=5) == error("invalid authentication token format")
        _, data = client.request("ping", auth_token="no-such-token")
        assert data["errors"][0].startswith("failed to authenticate token ")
        assert "no-such-token" not in str(data)
        assert harness.actions.invalid_tokens == 1
        assert client.request("ping", auth_token=PARENT) == ("success", {"response": "pong"})
        assert client.request("ping") == ("success", {"response": "pong"})

    @pytest.mark.parametrize("action", ["ping", "subscribe", "command", "resume", "unsubscribe"])
    def test_a_revoked_token_is_refused_with_the_next_message(self, action: str) -> None:
        its = ActionsHarness()
        client = its.client()
        del its.directory.tokens[PARENT]
        status, data = client.request(action, {"account_id": PARENT, "binding": "call.*.*"})
        assert status == "error"
        assert data["errors"][0].startswith("failed to authenticate token ")
        assert not client.session.subscriptions

    def test_rights_that_end_while_the_broker_is_asked_leave_no_subscription(self) -> None:
        its = ActionsHarness()
        its.consumer.unanswered.append("call")
        client = its.client()
        message = {"account_id": CHILD, "binding": "call.CHANNEL_CREATE.x"}
        client.send({"action": "subscribe", "data": message, "request_id": "r1"})
        its.directory.parents[CHILD] = STRANGER
        for waiting in its.consumer.waiting:
            waiting.callback(None)
        (reply,) = client.messages()
        assert (reply["status"], reply["data"]) == error("unauthorized account id")
        assert not client.session.subscriptions
        assert not its.consumer.bound

    def test_the_account_may_have_a_limited_number_of_sockets(self) -> None:
        its = ActionsHarness(max_connections_per_account=1)
        first, second = its.client(PARENT, 1), its.client(None, 2)
        reply = second.send({"action": "ping", "auth_token": PARENT})
        assert reply["data"] == {"errors": ["the account has too many sockets"]}
        assert second.closed == [(4429, "too many sockets")]
        assert not first.closed
        assert first.request("ping")[0] == "success"

    def test_a_socket_is_counted_once(self) -> None:
        its = ActionsHarness(max_connections_per_account=1)
        first, second = its.client(PARENT, 1), its.client(PARENT, 2)
        for client in (first, second):
            assert client.request("ping")[0] == "success"
            assert not client.closed

    def test_a_client_that_resumes_may_replace_its_own_connection(self) -> None:
        its = ActionsHarness(max_connections_per_account=1)
        first, second = its.client(PARENT, 1), its.client(None, 2)
        _, started = first.request("resume", {})
        data = {"session": started["session"], "sequence": 0}
        status, answer = second.request("resume", data, auth_token=PARENT)
        assert (status, answer["resumed"]) == ("success", True)
        assert first.closed == [(4409, "resumed on another connection")]
        assert not second.closed

    def test_a_message_of_a_socket_that_is_one_too_many_has_no_effect(self) -> None:
        its = ActionsHarness(max_connections_per_account=1)
        its.client(CHILD, 1)
        second = its.client(None, 2)
        command = {"account_id": CHILD, "call_id": "c1", "command": "hangup"}
        second.send({"action": "command", "auth_token": CHILD, "data": command})
        assert second.closed
        assert its.calls.sent == []

    def test_a_client_that_is_gone_when_it_is_authenticated_leaves_no_session(self) -> None:
        its = ActionsHarness()
        waiting: Deferred[Any] = Deferred()
        answer = its.directory.authenticate(PARENT)
        its.directory.authenticate = lambda token: waiting  # type: ignore[method-assign]
        client = its.client(None)
        client.send({"action": "resume", "auth_token": PARENT, "data": {}})
        its.registry.disconnected(client.session, client.connection)
        answer.chainDeferred(waiting)
        assert client.session.replay_buffer is None
        assert len(its.registry) == 0

    def test_names_and_metadata_are_kept(self) -> None:
        client = ActionsHarness().client()
        client.request("ping", name="desk", metadata={"a": [1]})
        client.request("ping")
        assert (client.session.name, client.session.metadata) == ("desk", {"a": [1]})


class TestUnknownMessages:
    @pytest.mark.parametrize(
        ("message", "reason"),
        [
            (b"no json", "the message is not JSON"),
            (b"", "the message is not JSON"),
            ([], "the message must be a JSON object"),
            ({}, "missing required keys : action"),
            ({"action": "dance"}, "unknown action dance; known are subscribe, unsubscribe, ping, resume, c"),
        ],
    )
    def test_only_an_authenticated_client_sees_no_error(self, message: Any, reason: str) -> None:
        assert ActionsHarness().client(None).send(message)["status"] == "error"
        reply = ActionsHarness().client().send(message)
        assert reply["status"] == "success"
        assert list(reply["data"]) == ["ignored"]
        assert reply["data"]["ignored"].startswith(reason)

    def test_noop_does_nothing(self) -> None:
        client = ActionsHarness().client()
        assert client.request("noop") == ("success", {"response": "noop"})
        assert ActionsHarness().client(None).request("noop") == error("authentication token required")


class TestErrors:
    @pytest.mark.parametrize(
        ("message", "text"),
        [
            ({"action": "subscribe"}, "missing required keys in data object"),
            ({"action": "subscribe", "data": {}}, "missing required keys in data object"),
            ({"action": "subscribe", "data": {"binding": "call.*.*"}}, "missing required keys : account_id"),
            ({"action": "subscribe", "data": {"account_id": PARENT}}, "missing required keys : binding"),
            ({"action": "subscribe", "data": {"x": 1}}, "missing required keys : account_id, binding"),
            (
                {"action": "subscribe", "data": {"account_id": 5, "binding": "call.*.*"}},
                "account_id must be a text",
            ),
            ({"action": "subscribe", "data": {"account_id": PARENT, "binding": 5}}, "binding must be a text"),
            (
                {"action": "subscribe", "data": {"account_id": PARENT, "binding": "call.NO_SUCH.*"}},
                "event NO_SUCH not supported",
            ),
            ({"action": "unsubscribe", "data": {"account_id": 5}}, "account_id must be a text"),
            (
                {"action": "unsubscribe", "data": {"account_id": PARENT, "binding": "weather.*"}},
                "no available subscriptions to requested binding weather.*",
            ),
            (
                {"action": "command", "data": {"account_id": PARENT}},
                "missing required keys : account_id, call",
            ),
        ],
    )
    def test_what_is_refused_leaves_the_session_as_it_was(self, message: Any, text: str) -> None:
        client = ActionsHarness().client()
        client.request("subscribe", {"account_id": PARENT, "binding": "parking.*"})
        reply = client.send(message)
        assert reply["status"] == "error"
        assert reply["data"]["errors"][0].startswith(text)
        assert client.session.bindings == ["parking.*"]
        assert not client.closed

    def test_every_refused_binding_has_its_error(self) -> None:
        client = ActionsHarness().client()
        data = {"account_id": PARENT, "bindings": ["call.*.*", "call.NO.*", "fax.object.NO"]}
        assert client.request("subscribe", data) == error("event NO not supported", "event NO not supported")

    def test_storage_that_does_not_answer_is_logged_and_may_be_tried_again(self) -> None:
        its = ActionsHarness()
        client = its.client()
        its.directory.accounts_unavailable = True
        with capturedLogs() as logs:
            answer = client.request("subscribe", {"account_id": PARENT, "binding": "parking.*"})
        assert answer == error("not possible just now; try again later")
        assert [event["log_level"] for event in logs] == [LogLevel.warn]


class TestSubscribe:
    def test_subscribe_and_unsubscribe(self) -> None:
        client = ActionsHarness().client()
        bindings = ["call.*.*", "fax.status.*", "parking.*"]
        answer = client.request("subscribe", {"account_id": PARENT, "bindings": bindings})
        assert answer == ("success", {"subscribed": bindings})
        answer = client.request("unsubscribe", {"account_id": PARENT, "binding": "fax.status.*"})
        assert answer == (
            "success",
            {"unsubscribed": ["fax.status.*"], "subscribed": ["call.*.*", "parking.*"]},
        )
        answer = client.request("unsubscribe", {"account_id": CHILD})
        assert answer == ("success", {"unsubscribed": [], "subscribed": ["call.*.*", "parking.*"]})
        answer = client.request("unsubscribe")
        assert answer == ("success", {"unsubscribed": ["call.*.*", "parking.*"], "subscribed": []})

    def test_a_possible_binding_that_is_not_there_counts_as_unsubscribed(self) -> None:
        client = ActionsHarness().client()
        answer = client.request("unsubscribe", {"account_id": PARENT, "binding": "parking.*"})
        assert answer == ("success", {"unsubscribed": ["parking.*"], "subscribed": []})

    @pytest.mark.parametrize(
        ("account_id", "target", "text"),
        [
            (PARENT, CHILD, None),
            (STRANGER, CHILD, "unauthorized account id"),
            (PARENT, ALL_ACCOUNTS, "unauthorized wildcard account id"),
            (SUPERADMIN, ALL_ACCOUNTS, None),
        ],
    )
    def test_the_account_must_be_permitted(self, account_id: str, target: str, text: str | None) -> None:
        client = ActionsHarness().client(account_id)
        answer = client.request("subscribe", {"account_id": target, "binding": "parking.*"})
        assert answer == (error(text) if text else ("success", {"subscribed": ["parking.*"]}))


class TestRate:
    def test_messages_beyond_the_limit_are_refused_until_tokens_return(self) -> None:
        its = ActionsHarness(rate_burst=2, rate_per_second=1)
        client = its.client()
        connection, payload = client.connection, b'{"action": "ping", "request_id": "r7"}'
        assert [its.actions.within_rate(connection, payload) for _ in range(3)] == [True, True, False]
        (reply,) = client.messages()
        assert (reply["request_id"], reply["data"]) == (
            "r7",
            {"errors": ["rate limiting threshold hit for 192.0.2.1:1!"]},
        )
        assert its.actions.within_rate(connection, payload)

    def test_many_of_them_in_a_row_close_the_connection(self) -> None:
        its = ActionsHarness(rate_burst=1, rate_per_second=1)
        client = its.client()
        for _ in range(1 + MAX_EXCESS_MESSAGES):
            its.actions.within_rate(client.connection, b"")
        assert not client.closed
        its.actions.within_rate(client.connection, b"")
        assert client.closed == [(4429, "too many messages")]

    def test_a_permitted_message_ends_the_row(self) -> None:
        its = ActionsHarness(rate_burst=1, rate_per_second=1)
        client = its.client()
        for _ in range(2):
            for _ in range(MAX_EXCESS_MESSAGES):
                its.actions.within_rate(client.connection, b"")
            its.clock.advance(1)
        assert not client.closed

    def test_frames_that_are_no_messages_count_and_are_not_answered(self) -> None:
        its = ActionsHarness(rate_burst=1, rate_per_second=1)
        client = its.client()
        last_seen = client.session.last_seen
        its.clock.advance(30)
        for _ in range(1 + MAX_EXCESS_MESSAGES):
            its.actions.within_rate(client.connection, None)
        assert (client.closed, client.session.last_seen) == ([], last_seen)
        its.actions.within_rate(client.connection, None)
        assert client.closed == [(4429, "too many messages")]
        assert not client.messages()

    def test_every_message_shows_that_the_client_is_active(self) -> None:
        its = ActionsHarness(rate_burst=1, rate_per_second=1)
        client = its.client()
        its.clock.advance(30)
        for _ in range(2):
            its.actions.within_rate(client.connection, b"")
        assert client.session.last_seen == its.clock.seconds()


class TestCommand:
    def command(self, client: FakeClient, **data: Any) -> tuple[str, Any]:
        return client.request("command", {"account_id": CHILD, "call_id": "c1", **data})

    def test_commands_are_sent_with_their_arguments(self) -> None:
        its = ActionsHarness()
        client = its.client()
        assert self.command(client, command="hangup") == ("success", {"response": "hangup initiated"})
        self.command(client, command="transfer", target="2001", name="desk", metadata=1)
        self.command(client, command="transfer", data={"target": "2002", "name": "argument"})
        answer = self.command(client, command="metaflow", data={"module": "hangup"})
        assert answer == ("success", {"response": "metaflow sent"})
        assert its.calls.sent == [
            (CHILD, "c1", "hangup", {}),
            (CHILD, "c1", "transfer", {"target": "2001"}),
            (CHILD, "c1", "transfer", {"target": "2002", "name": "argument"}),
            (CHILD, "c1", {"module": "hangup"}),
        ]

    def test_refusals(self) -> None:
        its = ActionsHarness()
        client = its.client()
        assert self.command(client, command="hangup", call_id="gone") == error(
            "the account has no live call gone"
        )
        assert self.command(client, command="dance") == (
            "error",
            {
                "errors": ["command: unknown command dance"],
                "fields": {"command": {"enum": {"message": "unknown command dance"}}},
            },
        )
        with capturedLogs():
            assert self.command(client, command="say") == error("not possible just now; try again later")
        assert self.command(client, command=5)[0] == "error"
        assert self.command(its.client(STRANGER, 2), command="hangup") == error("unauthorized account id")
        assert its.calls.sent == []

    @pytest.mark.parametrize("missing", ["account_id", "call_id", "command"])
    @pytest.mark.parametrize("value", [None, 5])
    def test_account_call_and_command_must_be_texts(self, missing: str, value: Any) -> None:
        its = ActionsHarness()
        data = {"account_id": CHILD, "call_id": "c1", "command": "hangup", missing: value}
        text = "missing required keys : account_id, call_id and command, each a text"
        assert its.client().request("command", data) == error(text)
        assert its.calls.sent == []

    def test_not_for_all_accounts_and_not_without_calls(self) -> None:
        its = ActionsHarness()
        answer = self.command(its.client(SUPERADMIN), command="hangup", account_id=ALL_ACCOUNTS)
        assert answer == error("commands are not available for all accounts at once")
        answer = self.command(ActionsHarness(with_calls=False).client(), command="hangup")
        assert answer == error("commands are not available here")
