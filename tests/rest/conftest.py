from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from attrs import evolve

from kazoo_bridge.config import Calls, Config, Egress, Http, Storage, Webhooks
from tests.rest.harness import LOOPBACK, RestHarness, running_node
from tests.storage.sqlite_template import make_migrated_database
from tests.webhooks.receiving import Receiver


@pytest.fixture
def http() -> Http:
    """The configuration of HTTP. Tests of its limits override this."""
    return LOOPBACK


@pytest.fixture
def webhooks() -> Webhooks:
    """The configuration of webhooks, which tests may override."""
    return Webhooks()


@pytest.fixture
def query_timeout_ms() -> int:
    """Milliseconds for which replies of the switch are waited for. Tests without replies override this."""
    return 10_000


@pytest.fixture
def config(tmp_path: Path, http: Http, webhooks: Webhooks, query_timeout_ms: int) -> Config:
    return evolve(
        Config(),
        storage=Storage(make_migrated_database(tmp_path / "b.sqlite3")),
        http=http,
        webhooks=webhooks,
        egress=evolve(Egress(), allowed_networks=("127.0.0.0/8",)),
        calls=Calls(query_timeout_ms),
    )


@pytest_twisted.async_yield_fixture
async def rest(config: Config) -> AsyncIterator[RestHarness]:
    async with running_node(config) as harness:
        yield harness


@pytest_twisted.async_yield_fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A web server that receives webhooks; `url` is its base URL."""
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()
