"""Requests to REST of a node, also to one that expects the PROXY protocol."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import click
from attrs import frozen
from twisted.internet.address import IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.web.client import URI, Agent, BrowserLikePolicyForHTTPS
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IResponse
from zope.interface import implementer

from kazoo_bridge.body_producer import BytesProducer
from kazoo_bridge.bounded_http import BodyTooLarge, read_body
from kazoo_bridge.log_escaping import escape_for_log

#: Bytes of an answer of REST: twice the largest ``http.max_page_bytes``.
MAX_ANSWER_BYTES = 128 * 1024 * 1024

#: Seconds for connecting.
_CONNECT_TIMEOUT = 30.0

_ENDPOINT = re.compile(
    r"(?P<proxy>haproxy:)?(?P<kind>tcp|tcp6|ssl|tls):(?:port=)?(?P<port>[0-9]+)(?P<rest>:.*)?", re.DOTALL
)


@frozen
class RestAddress:
    """Where REST of a node is.

    `url` has no slash at its end. `proxy_protocol`: the node expects a header of the PROXY protocol.
    """

    url: str
    proxy_protocol: bool = False

    @classmethod
    def from_endpoint(cls, endpoint: str) -> RestAddress:
        """Return where a node on this host is with this ``http.endpoint``; raises `click.ClickException`."""
        found = _ENDPOINT.fullmatch(endpoint)
        if found is None or found["port"] == "0":
            raise click.ClickException(
                f"http.endpoint: the address of {endpoint} is not known; name the URL with --url"
            )
        interface = re.search(r"(?:^|:)interface=((?:[^:\\]|\\.)*)", found["rest"] or "")
        host = re.sub(r"\\(.)", r"\1", interface[1]) if interface else ""
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        scheme = "http" if found["kind"].startswith("tcp") else "https"
        return cls(
            f"{scheme}://{f'[{host}]' if ':' in host else host}:{found['port']}", found["proxy"] is not None
        )

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: float | None = None,
    ) -> Deferred[IResponse]:
        """Send a request and fire with its response.

        `timeout`: seconds until the response begins. No redirect is followed.
        """
        from twisted.internet import reactor

        agent = Agent.usingEndpointFactory(reactor, _EndpointFactory(reactor, self.proxy_protocol))
        given = Headers({name: [value] for name, value in headers.items()})
        body_producer = None if body is None else BytesProducer(body)
        url = (self.url + path).encode()
        sent: Deferred[IResponse] = agent.request(method.encode(), url, given, body_producer)
        return sent if timeout is None else sent.addTimeout(timeout, cast(IReactorTime, reactor))


@implementer(IAgentEndpointFactory)
@frozen
class _EndpointFactory:
    """Connects like `Agent` by itself, and with `proxy_protocol` begins with its header."""

    reactor: Any
    proxy_protocol: bool

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """See `IAgentEndpointFactory`."""
        host = uri.host.decode("ascii").strip("[]")
        endpoint: Any = HostnameEndpoint(self.reactor, host, uri.port, timeout=_CONNECT_TIMEOUT)
        if uri.scheme == b"https":
            tls = BrowserLikePolicyForHTTPS().creatorForNetloc(uri.host, uri.port)
            endpoint = wrapClientTLS(tls, endpoint)
        return _ProxiedEndpoint(endpoint) if self.proxy_protocol else endpoint


@implementer(IStreamClientEndpoint)
@frozen
class _ProxiedEndpoint:
    """Begins each connection with the header of the PROXY protocol that names this connection itself."""

    endpoint: IStreamClientEndpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """See `IStreamClientEndpoint`."""
        connecting: Deferred[Any] = self.endpoint.connect(protocolFactory)
        return connecting.addCallback(_write_header)


def _write_header(protocol: Any) -> Any:
    own, node = protocol.transport.getHost(), protocol.transport.getPeer()
    family = "TCP6" if isinstance(own, IPv6Address) else "TCP4"
    header = f"PROXY {family} {own.host} {node.host} {own.port} {node.port}\r\n"
    protocol.transport.write(header.encode("ascii"))
    return protocol


async def read_answer(url: str, response: IResponse) -> bytes:
    """Return the body of an answer from `url`.

    Raises `click.ClickException` for a redirect, which would take the token to another host, and for a body
    that has more than `MAX_ANSWER_BYTES` or breaks off.
    """
    if 300 <= response.code < 400:
        location = response.headers.getRawHeaders("Location", ["an unknown place"])[0]
        raise click.ClickException(
            escape_for_log(f"{url} redirects ({response.code}) to {location}, which is not followed;")
            + " name the URL of the node with --url"
        )
    try:
        return await read_body(response, MAX_ANSWER_BYTES)
    except BodyTooLarge:
        raise click.ClickException(f"{url} answered more than {MAX_ANSWER_BYTES} bytes") from None
    except Exception as error:
        raise click.ClickException(f"the answer of {url} breaks off: {error}") from None
