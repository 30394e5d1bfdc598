from __future__ import annotations

import pytest
import pytest_twisted

from tests.rest.harness import RestHarness


@pytest_twisted.ensureDeferred
async def test_health(rest: RestHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await rest("GET", "/healthz")).code == 200
    assert (await rest("GET", "/readyz")).code == 200
    monkeypatch.setattr(rest.node.bus, "unavailable_reason", lambda: "no connection")
    answered = await rest("GET", "/readyz")
    assert (answered.code, answered.text_body) == (503, "bus: no connection\n")
    assert (await rest("GET", "/healthz")).code == 200
