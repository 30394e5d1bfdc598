from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import provider

import kazoo_bridge.plugins
from tests.couchdb.server import CouchServer
from tests.integration.rabbitmq import RabbitNode

# Each run tries the same examples, without a deadline, as their time depends on the machine. To try others:
# pytest --hypothesis-profile=search
settings.register_profile("search", parent=settings(), deadline=None)
settings.register_profile("same", parent=settings(), deadline=None, derandomize=True)
settings.load_profile("same")

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


def pytest_collection_finish() -> None:
    """Exempt what has been imported from garbage collections: each would look at all of it again."""
    gc.collect()
    gc.freeze()


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


def _running_node() -> Iterator[RabbitNode]:
    node = RabbitNode()
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


@pytest.fixture(scope="session")
def session_mortal_rabbit() -> Iterator[RabbitNode]:
    """The node of `mortal_rabbit`, for fixtures that live longer than a test."""
    yield from _running_node()


@pytest.fixture
def mortal_rabbit(session_mortal_rabbit: RabbitNode) -> Iterator[RabbitNode]:
    """A second node, which tests may kill, freeze and reset. It runs again when the next test begins."""
    yield session_mortal_rabbit
    session_mortal_rabbit.revive()


@pytest.fixture
def impatient_rabbit(mortal_rabbit: RabbitNode) -> Iterator[RabbitNode]:
    """A broker that ends the channel of a consumer which leaves a delivery unacknowledged for a second."""
    mortal_rabbit.configure(consumer_timeout=1000, channel_tick_interval=200)
    yield mortal_rabbit
    mortal_rabbit.configure(consumer_timeout=1_800_000, channel_tick_interval=60_000)


@pytest.fixture(scope="session")
def couchdb_server() -> Iterator[CouchServer]:
    """A private server of CouchDB's protocol, started by the first test that uses it."""
    server = CouchServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def plugins_forgotten() -> Iterator[None]:
    """What the test loads as plugins is forgotten afterwards."""
    path, modules = list(kazoo_bridge.plugins.__path__), set(sys.modules)
    yield
    kazoo_bridge.plugins.__path__[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("kazoo_bridge.plugins."):
            del sys.modules[name]
            # A module that could not be imported is no attribute of its package.
            vars(kazoo_bridge.plugins).pop(name.rpartition(".")[2], None)
