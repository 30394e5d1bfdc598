"""Declaring on one connection: what the broker refuses, and any number of callers at once."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel

from kazoo_bridge.bus.amqp.queue_arguments import QueueArguments
from kazoo_bridge.bus.amqp.topology import BATCH_SIZE, Topology
from kazoo_bridge.bus.amqp.wire.errors import BrokerClosedChannel, BrokerClosedConnection
from kazoo_bridge.interfaces import Queue, Topic
from tests.bus.amqp.fake_broker import FakeConnection, result_of
from tests.bus.harness import CapturedLog

MANY = 3000


def make_topology(connection: Any, **arguments: Any) -> Topology:
    return Topology(connection, QueueArguments(arguments))


def test_thousands_of_callers_at_once() -> None:
    connection = FakeConnection(holding=True)
    topology = make_topology(connection)
    done: list[int] = []

    async def declare(number: int) -> None:
        await topology.exchange("callevt")
        await topology.queue(Queue(f"q{number}", frozenset()))
        await topology.bind(f"q{number}", [Topic("callevt", f"call.{number}")])
        await topology.unbind(f"q{number}", [Topic("callevt", f"call.{number}")])
        done.append(number)

    for number in range(MANY):
        Deferred.fromCoroutine(declare(number))
    connection.release()
    assert len(done) == MANY
    assert connection.bound == set()
    assert connection.requests.count("exchange callevt") == 1


def test_a_failure_reaches_its_caller_and_the_next_is_served() -> None:
    connection = FakeConnection()
    topology = make_topology(connection)
    connection.failing = RuntimeError("a bug")
    failures: list[Any] = []
    for _ in range(MANY):
        Deferred.fromCoroutine(topology.queue(Queue("q", frozenset()))).addErrback(failures.append)
    assert len(failures) == MANY
    connection.failing = None
    assert Deferred.fromCoroutine(topology.queue(Queue("q", frozenset()))).result == "q"


def test_a_cancelled_caller_blocks_no_other() -> None:
    connection = FakeConnection(holding=True)
    topology = make_topology(connection)
    first, second, third = (
        Deferred.fromCoroutine(topology.queue(Queue(name, frozenset()))) for name in "abc"
    )
    for cancelled in (first, second):
        cancelled.addErrback(lambda _: None)
        cancelled.cancel()
    connection.release()
    assert third.result == "c"
    assert connection.requests == ["queue a", "queue c"]


# -- refusals -----------------------------------------------------------------------------------

DURABLE = Queue("q", frozenset(), durable=True)
OTHER_ARGUMENTS = BrokerClosedChannel(406, "inequivalent arg")


@pytest.fixture
def connection() -> FakeConnection:
    return FakeConnection()


def test_kazoos_exchanges_are_declared_and_others_must_exist(connection: FakeConnection) -> None:
    topology = make_topology(connection)
    for name in ("callevt", "other", "callevt", ""):
        result_of(topology.exchange(name))
    assert connection.requests == ["exchange callevt", "exchange other passively"]
    assert topology.knows("callevt")
    assert not topology.knows("im")


def test_an_exchange_with_other_arguments_is_used_as_it_is(connection: FakeConnection) -> None:
    connection.refusals["exchange callevt"] = OTHER_ARGUMENTS
    topology = make_topology(connection)
    with CapturedLog() as log:
        result_of(topology.exchange("callevt"))
    assert connection.requests == ["exchange callevt", "exchange callevt passively"]
    assert topology.knows("callevt")
    assert log.at_least(LogLevel.warn) == [
        "exchange callevt cannot be declared and is used as it is: inequivalent arg"
    ]


def test_the_exchanges_of_categories_are_declared_or_used_as_they_are(connection: FakeConnection) -> None:
    as_connection: Any = connection
    topology = Topology(as_connection, exchanges={"acdc": "topic", "closed": "direct"})
    connection.refusals["exchange closed"] = BrokerClosedChannel(403, "no access to exchange 'closed'")
    for name in ("acdc", "closed"):
        result_of(topology.exchange(name))
    assert connection.requests == ["exchange acdc", "exchange closed", "exchange closed passively"]
    assert topology.knows("closed")


def test_an_exchange_without_access_is_an_error_for_all_callers(connection: FakeConnection) -> None:
    connection.refusals["exchange callevt"] = BrokerClosedChannel(403, "no access")
    topology = make_topology(connection)
    for _ in range(2):
        with pytest.raises(BrokerClosedChannel, match="no access"):
            result_of(topology.exchange("callevt"))
    assert not topology.knows("callevt")


@pytest.mark.parametrize(
    ("queue", "arguments"),
    [(DURABLE, {"x-queue-type": "quorum"}), (Queue("q"), {}), (Queue(), {})],
    ids=["durable", "passing", "unnamed"],
)
def test_arguments_apply_to_durable_queues(
    connection: FakeConnection, queue: Queue, arguments: dict[str, Any]
) -> None:
    topology = make_topology(connection, **{"x-queue-type": "quorum"})
    assert result_of(topology.queue(queue)) == (queue.name or "amq.gen-1")
    assert connection.queue_arguments == [arguments]


def test_an_existing_queue_with_other_arguments_is_used_as_it_is(connection: FakeConnection) -> None:
    connection.refusals["queue q"] = OTHER_ARGUMENTS
    with CapturedLog() as log:
        assert result_of(make_topology(connection).queue(DURABLE)) == "q"
    assert connection.requests == ["queue q", "queue q passively"]
    assert log.at_least(LogLevel.warn) == [
        "queue q exists on the broker with other arguments and is used as it is: inequivalent arg"
    ]


def test_the_log_says_how_to_bound_an_existing_queue(connection: FakeConnection) -> None:
    connection.refusals["queue q"] = OTHER_ARGUMENTS
    with CapturedLog() as log:
        result_of(make_topology(connection, **{"x-max-length-bytes": 1000}).queue(DURABLE))
    [line] = log.at_least(LogLevel.warn)
    assert line.endswith("set_policy --apply-to queues kazoo_bridge '^q$' '{\"max-length-bytes\":1000}'")


BOUNDS = {"x-max-length-bytes": 1000, "x-overflow": "drop-head"}
QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 9}
AGE = {"x-message-ttl": 5000}


@pytest.mark.parametrize(
    ("refused", "accepted"),
    [
        (1, {**QUORUM, **BOUNDS}),
        (2, {**BOUNDS, **AGE}),
        (3, {}),
    ],
)
def test_refused_arguments_of_a_new_queue_are_left_out_one_after_another(
    connection: FakeConnection, refused: int, accepted: dict[str, Any]
) -> None:
    connection.refusals["queue q passively"] = BrokerClosedChannel(404, "no queue")
    wanted = {**QUORUM, **BOUNDS, **AGE}
    arguments = QueueArguments(wanted)
    broker: Any = connection
    refusals = [OTHER_ARGUMENTS] * refused

    class RefusingAtFirst(dict[str, Exception]):
        def get(self, what: str, default: Any = None) -> Any:
            return refusals.pop() if what == "queue q" and refusals else super().get(what, default)

    connection.refusals = RefusingAtFirst(connection.refusals)
    with CapturedLog() as log:
        assert result_of(Topology(broker, arguments).queue(DURABLE)) == "q"
    assert connection.queue_arguments[0] == wanted
    assert connection.queue_arguments[-1] == accepted
    assert arguments.effective == accepted
    assert arguments.max_bytes == accepted.get("x-max-length-bytes", 0)
    assert len(log.at_least(LogLevel.warn)) == refused


def test_a_queue_without_arguments_that_is_refused_and_does_not_exist_is_an_error(
    connection: FakeConnection,
) -> None:
    connection.refusals["queue q"] = OTHER_ARGUMENTS
    connection.refusals["queue q passively"] = BrokerClosedChannel(404, "no queue")
    with pytest.raises(BrokerClosedChannel, match="no queue"):
        result_of(make_topology(connection).queue(DURABLE))


def test_the_bound_of_a_queue_with_other_arguments_is_unknown(connection: FakeConnection) -> None:
    connection.refusals["queue q"] = OTHER_ARGUMENTS
    arguments = QueueArguments(BOUNDS)
    broker: Any = connection
    with CapturedLog():
        result_of(Topology(broker, arguments).queue(DURABLE))
    assert arguments.max_bytes == 0


def test_a_connection_closed_over_the_queue_type_leaves_it_out_on_the_next(
    connection: FakeConnection,
) -> None:
    connection.refusals["queue q"] = BrokerClosedConnection(540, "NOT_IMPLEMENTED")
    arguments = QueueArguments({**QUORUM, **BOUNDS, **AGE})
    broken: Any = connection
    with pytest.raises(BrokerClosedConnection), CapturedLog():
        result_of(Topology(broken, arguments).queue(DURABLE))
    following: Any = FakeConnection()
    result_of(Topology(following, arguments).queue(DURABLE))
    assert following.queue_arguments == [{**BOUNDS, **AGE}]


def test_another_refusal_of_a_queue_is_an_error(connection: FakeConnection) -> None:
    connection.refusals["queue q"] = BrokerClosedChannel(403, "no access")
    with pytest.raises(BrokerClosedChannel, match="no access"):
        result_of(make_topology(connection, **{"x-queue-type": "quorum"}).queue(DURABLE))


def test_refused_bindings_are_returned_and_the_others_are_bound(connection: FakeConnection) -> None:
    topics = [Topic("callevt", f"call.{number:03}") for number in range(BATCH_SIZE + 10)]
    connection.refused = {"call.005", "call.105"}
    refused = result_of(make_topology(connection).bind("q", topics))
    assert {topic.pattern: error.text for topic, error in refused.items()} == {
        "call.005": "no access for call.005",
        "call.105": "no access for call.105",
    }
    assert len(connection.bound) == len(topics) - 2


def test_an_exchange_is_declared_again_on_demand(connection: FakeConnection) -> None:
    topology = make_topology(connection)
    result_of(topology.exchange("callevt"))
    result_of(topology.redeclare("callevt"))
    topology.forget_exchanges()
    assert not topology.knows("callevt")
    result_of(topology.exchange("callevt"))
    assert connection.requests == ["exchange callevt"] * 3


def test_an_exchange_with_other_arguments_is_logged_once(connection: FakeConnection) -> None:
    connection.refusals["exchange callevt"] = OTHER_ARGUMENTS
    topology = make_topology(connection)
    with CapturedLog() as log:
        for _ in range(3):
            result_of(topology.redeclare("callevt"))
    assert connection.requests == ["exchange callevt", *["exchange callevt passively"] * 3]
    assert len(log.at_least(LogLevel.warn)) == 1


def test_the_messages_of_a_queue_are_counted(connection: FakeConnection) -> None:
    connection.message_count = 5
    assert result_of(make_topology(connection).message_count("q")) == 5
    connection.refusals["queue q passively"] = BrokerClosedChannel(404, "no queue")
    assert result_of(make_topology(connection).message_count("q")) is None
