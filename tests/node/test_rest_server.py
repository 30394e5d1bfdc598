from __future__ import annotations

from typing import Any

import pytest_twisted
import treq
from attrs import evolve
from twisted.internet import reactor as installed_reactor

from kazoo_bridge.config import Config, Http
from kazoo_bridge.node.rest_server import RestServer
from kazoo_bridge.node.tls_certificates import TlsCertificates
from kazoo_bridge.rest.server.request_metrics import RequestMetrics
from tests.rest.fakes import FakeDirectory

reactor: Any = installed_reactor


@pytest_twisted.ensureDeferred
async def test_it_serves_until_it_stops() -> None:
    starting = [True]
    config = evolve(Config(), http=Http("tcp:0:interface=127.0.0.1"))
    directory = FakeDirectory({}, {})
    metrics: Any = None
    server = RestServer(
        reactor, config, "node", directory, TlsCertificates(), lambda: starting[0], metrics, RequestMetrics()
    )
    server.configure(config.http)
    assert (server.host, server.is_listening) == ("localhost:0", False)
    await server.listen([])
    try:
        assert server.is_listening
        codes = []
        for starting[0] in (True, False):
            response = await treq.get(f"http://{server.host}/v2/nothing", persistent=False)
            codes.append(response.code)
        assert codes == [503, 404]
        server.configure(evolve(config.http, requests_per_second=1, request_burst=1))
        limited = [(await treq.get(f"http://{server.host}/v2/x", persistent=False)).code for _ in range(3)]
        assert 429 in limited
    finally:
        await server.stop()
