"""Server endpoints whose TLS certificates and keys can be replaced while they listen."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from attrs import define, field
from OpenSSL.SSL import Connection
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IListeningPort,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from zope.interface import implementer

_TLS = re.compile(r"(?:haproxy:)?ssl:")


@implementer(IOpenSSLServerConnectionCreator)
@define(eq=False)
class _CurrentContext:
    """Makes connections with the context of a context factory that can be replaced."""

    factory: Any

    def serverConnectionForTLS(self, tlsProtocol: object) -> Connection:
        """See `IOpenSSLServerConnectionCreator`."""
        return Connection(self.factory.getContext(), None)


@define(eq=False)
class _ListeningReactor:
    """A reactor that hands the context factories of TLS ports to `on_tls`, and listens with its result."""

    _reactor: Any
    _on_tls: Callable[[Any], Any]

    def listenSSL(
        self, port: int, factory: IProtocolFactory, contextFactory: Any, **options: Any
    ) -> IListeningPort:
        """See `IReactorSSL`."""
        listening: IListeningPort = self._reactor.listenSSL(
            port, factory, self._on_tls(contextFactory), **options
        )
        return listening

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


class _NoReactor:
    """Listens on nothing."""

    def listenSSL(self, *_arguments: Any, **_options: Any) -> None:
        """Do nothing."""


@define(eq=False)
class TlsCertificates:
    """Makes server endpoints, and reads the certificates of those with TLS (``ssl:…``) again."""

    _contexts: dict[str, _CurrentContext] = field(init=False, factory=dict)

    def make_endpoint(self, reactor: Any, description: str) -> IStreamServerEndpoint:
        """Make an endpoint like `serverFromString`. Raises what that raises."""
        if _TLS.match(description) is None:
            return _endpoint(reactor, description)

        def on_tls(factory: Any) -> _CurrentContext:
            self._contexts[description] = _CurrentContext(factory)
            return self._contexts[description]

        return _endpoint(_ListeningReactor(reactor, on_tls), description)

    def read(self) -> Callable[[], None]:
        """Read the certificates and keys of all endpoints again.

        Returns a function that makes new connections use them. Raises ValueError with the endpoint and the
        reason if one cannot be used.
        """
        found = {description: _read_context(description) for description in self._contexts}

        def use() -> None:
            for description, factory in found.items():
                self._contexts[description].factory = factory

        return use


def _endpoint(reactor: Any, description: str) -> IStreamServerEndpoint:
    endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
    return endpoint


def _read_context(description: str) -> Any:
    read: list[Any] = []

    def on_tls(factory: Any) -> Any:
        factory.getContext()  # finds a key that is not that of the certificate
        read.append(factory)
        return factory

    try:
        endpoint = _endpoint(_ListeningReactor(_NoReactor(), on_tls), description)
        # Nothing listens: the reactor does nothing, and so the result is there at once.
        listening = endpoint.listen(Factory())
        failures: list[Any] = []
        listening.addErrback(failures.append)
        if failures:
            failures[0].raiseException()
        return read[0]
    except Exception as error:
        # Those of OpenSSL, of files, and of endpoints, which are plugins, have no ancestor in common.
        raise ValueError(f"the certificate of {description} cannot be used: {error}") from None
