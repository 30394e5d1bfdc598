from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as installed_reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread

from kazoo_bridge.node.tls_certificates import TlsCertificates
from tests.config.files import install_certificate, shown_name

reactor: Any = installed_reactor


def install(tmp_path: Path, name: str) -> str:
    """Write a certificate for `name` to where the endpoint reads it; return the endpoint."""
    install_certificate(tmp_path, name)
    return f"ssl:0:interface=127.0.0.1:certKey={tmp_path}/cert.pem:privateKey={tmp_path}/key.pem"


@asynccontextmanager
async def listening(certificates: TlsCertificates, endpoint: str) -> AsyncIterator[int]:
    port: Any = await certificates.make_endpoint(reactor, endpoint).listen(Factory.forProtocol(Protocol))
    try:
        yield port.getHost().port
    finally:
        await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_new_connections_get_the_new_certificate(tmp_path: Path) -> None:
    certificates = TlsCertificates()
    async with listening(certificates, install(tmp_path, "old")) as port:
        assert await deferToThread(shown_name, port) == "CN=old"
        install(tmp_path, "new")
        use = certificates.read()
        assert await deferToThread(shown_name, port) == "CN=old"
        use()
        assert await deferToThread(shown_name, port) == "CN=new"


@pytest.mark.parametrize("broken", ["cert.pem", "key.pem"])
@pytest_twisted.ensureDeferred
async def test_a_certificate_that_cannot_be_used_is_refused_and_the_old_one_stays(
    tmp_path: Path, broken: str
) -> None:
    certificates = TlsCertificates()
    async with listening(certificates, install(tmp_path, "old")) as port:
        old = (tmp_path / broken).read_bytes()
        install(tmp_path, "new")
        (tmp_path / broken).write_bytes(old)
        with pytest.raises(ValueError, match=r"^the certificate of ssl:0:.* cannot be used: "):
            certificates.read()
        (tmp_path / broken).unlink()
        with pytest.raises(ValueError, match="No such file"):
            certificates.read()
        assert await deferToThread(shown_name, port) == "CN=old"


def test_endpoints_without_tls_are_those_of_twisted() -> None:
    certificates = TlsCertificates()
    endpoint = certificates.make_endpoint(Clock(), "tcp:8000:interface=127.0.0.1")
    assert type(endpoint).__name__ == "TCP4ServerEndpoint"
    certificates.read()()
