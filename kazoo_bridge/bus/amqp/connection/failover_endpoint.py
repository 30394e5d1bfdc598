"""Connecting and logging in: an endpoint that tries the brokers in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from OpenSSL import crypto
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.logger import Logger
from zope.interface import implementer

from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.bus.amqp.wire.errors import reason_text
from kazoo_bridge.config import AmqpUri
from kazoo_bridge.config.certificates import read_certificates

#: Seconds for reaching a broker, and as many again for logging in.
LOGIN_TIMEOUT = 10.0


def endpoint_for(reactor: Any, uri: AmqpUri) -> IStreamClientEndpoint:
    """Return the endpoint of a broker, with TLS if its URI asks for it.

    Raises ValueError for an unusable CA file.
    """
    plain = HostnameEndpoint(reactor, uri.host, uri.port, timeout=LOGIN_TIMEOUT)
    if not uri.tls:
        return plain
    roots = None
    if uri.cacertfile is not None:
        trusted = [crypto.X509.from_cryptography(found) for found in read_certificates(uri.cacertfile)]
        roots = trustRootFromCertificates([Certificate(one) for one in trusted])
    return wrapClientTLS(optionsForClientTLS(uri.host, trustRoot=roots), plain)


@implementer(IStreamClientEndpoint)
class FailoverEndpoint:
    """Connects to the first broker of `uris` that accepts the login, beginning with the one that worked last.

    `make_connection` makes the protocol for a broker, `name` names the connection in the log. `latest` is the
    connection that was established last,
    `last_error` the reason in words why there is none.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        uris: Sequence[AmqpUri],
        make_connection: Callable[[AmqpUri], BrokerConnection],
        name: str = "only",
    ) -> None:
        self.latest: BrokerConnection | None = None
        self.last_error: str | None = None
        self._reactor = reactor
        self._uris = list(uris)
        self._make_connection = make_connection
        self._name = name

    def __repr__(self) -> str:
        return " or ".join(uri.label for uri in self._uris)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See `IStreamClientEndpoint`. Fails with ConnectionError when no broker accepts the login.

        The factory's protocol receives no bytes: only `connectionMade` and `connectionLost` are called.
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        for _ in range(len(self._uris)):
            uri = self._uris[0]
            try:
                connection = await self._log_in(uri)
            except CancelledError:
                raise
            except Exception as error:
                # Twisted's and OpenSSL's errors have no ancestor in common.
                self._record_error(uri, reason_text(error))
            else:
                self.log.info(
                    "connected to {broker} connection={connection}", broker=uri.label, connection=self._name
                )
                self.last_error = None
                return self._hand_over(factory, connection)
            self._uris.append(self._uris.pop(0))
        raise ConnectionError(self.last_error)

    async def _log_in(self, uri: AmqpUri) -> BrokerConnection:
        connection = self._make_connection(uri)
        await endpoint_for(self._reactor, uri).connect(Factory.forProtocol(lambda: connection))
        try:
            await Deferred.fromCoroutine(connection.login(uri.user, uri.password)).addTimeout(
                LOGIN_TIMEOUT, self._reactor
            )
        except TimeoutError:
            connection.abort("no answer to the login in time")
            raise ConnectionError("no answer to the login in time") from None
        except BaseException:
            connection.abort("the login was given up")
            raise
        return connection

    def _hand_over(self, factory: IProtocolFactory, connection: BrokerConnection) -> IProtocol:
        self.latest = connection
        protocol = factory.buildProtocol(connection.transport.getPeer())
        if protocol is None:
            connection.abort("the factory made no protocol")
            raise ConnectionError("the factory made no protocol")
        protocol.makeConnection(connection.transport)
        connection.disconnected.wait().addCallback(lambda _: protocol.connectionLost(connection.lost))
        return protocol

    def record_loss(self, reason: str) -> None:
        """Log and remember why the established connection has ended."""
        self._record_error(self._uris[0], reason)

    def _record_error(self, uri: AmqpUri, reason: str) -> None:
        self.last_error = f"no connection to {uri.label}: {reason}"
        self.log.warn(
            "no connection to {broker} connection={connection} reason={reason}",
            broker=uri.label,
            connection=self._name,
            reason=reason,
        )
