from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import provider

from tests.couchdb.server import CouchServer
from tests.integration.rabbitmq import RabbitNode

#: Log events with a RecursionError, for which no test has failed yet.
_recursion_errors: list[str] = []


@provider(ILogObserver)
def _note_recursion_error(event: LogEvent) -> None:
    failure = event.get("log_failure")
    if failure is not None and failure.check(RecursionError):
        _recursion_errors.append(f"{formatEvent(event)}: {failure.getErrorMessage()}")
    elif "RecursionError" in formatEvent(event):
        _recursion_errors.append(formatEvent(event))


def pytest_configure() -> None:
    globalLogPublisher.addObserver(_note_recursion_error)


@pytest.fixture
def expected_recursion_errors() -> Iterator[None]:
    """Use in a test that raises RecursionError on purpose."""
    yield
    _recursion_errors.clear()


@pytest.fixture(autouse=True)
def no_recursion_error_in_the_log() -> Iterator[None]:
    """Fail the test that logs a RecursionError: a chain of calls grows with its input."""
    yield
    found, _recursion_errors[:] = list(_recursion_errors), []
    assert not found, found


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run for errors that are logged after the last test, such as by the garbage collector."""
    globalLogPublisher.removeObserver(_note_recursion_error)
    if _recursion_errors:
        print(f"\nRecursionError in the log: {_recursion_errors}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _running_node(advanced_config: str = "[].") -> Iterator[RabbitNode]:
    node = RabbitNode(advanced_config=advanced_config)
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="session")
def rabbit() -> Iterator[RabbitNode]:
    """A private RabbitMQ node, started by the first test that uses it."""
    yield from _running_node()


@pytest.fixture
def vhost_uri(rabbit: RabbitNode) -> str:
    """The URI of a new virtual host on the shared node."""
    return rabbit.fresh_vhost()


@pytest.fixture
def disposable_rabbit() -> Iterator[RabbitNode]:
    """A private RabbitMQ node for one test, which may kill it."""
    yield from _running_node()


@pytest.fixture(scope="session")
def impatient_rabbit() -> Iterator[RabbitNode]:
    """A broker that ends the channel of a consumer which leaves a delivery unacknowledged for a second."""
    yield from _running_node("[{rabbit, [{consumer_timeout, 1000}, {channel_tick_interval, 200}]}].")


@pytest.fixture(scope="session")
def couchdb_server() -> Iterator[CouchServer]:
    """A private server of CouchDB's protocol, started by the first test that uses it."""
    server = CouchServer()
    server.start()
    yield server
    server.stop()
