from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError

from kazoo_bridge.node.startup import StartupFailed, open_port


@pytest_twisted.ensureDeferred
async def test_a_port_that_opens() -> None:
    assert await open_port("http.endpoint", "tcp:8000", succeed("port")) == "port"


@pytest.mark.parametrize(
    ("error", "reason"),
    [(CannotListenError("", 8000, OSError("in use")), "in use"), (ValueError("no such endpoint"), "no such")],
)
@pytest_twisted.ensureDeferred
async def test_a_port_that_does_not_open(error: Exception, reason: str) -> None:
    opening: Deferred[Any] = fail(error)
    with pytest.raises(StartupFailed, match=f"^http.endpoint: cannot listen on tcp:8000: {reason}"):
        await open_port("http.endpoint", "tcp:8000", opening)
