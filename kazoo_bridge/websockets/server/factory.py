"""Builds a `WebsocketProtocol` for each connection, with the options of Autobahn."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept

from kazoo_bridge.websockets.server.autobahn_server import OPTION_NAMES, QuietLogger, with_options
from kazoo_bridge.websockets.server.context import ServerContext
from kazoo_bridge.websockets.server.protocol import WebsocketProtocol

#: Connections that are accepted at once, about: what is dropped of these needs reserved descriptors.
MAX_ACCEPTS = 40


def _accept_compression(offers: list[Any], message_bytes: int) -> PerMessageDeflateOfferAccept | None:
    """Accept the first offer of permessage-deflate that lets all clients share one compressed frame."""
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer) and not offer.request_max_window_bits:
            return PerMessageDeflateOfferAccept(
                offer,
                request_no_context_takeover=offer.accept_no_context_takeover,
                max_message_size=message_bytes,
            )
    return None


class WebsocketFactory(WebSocketServerFactory):  # type: ignore[misc] # Autobahn is not typed for this
    """Builds a `WebsocketProtocol` for each connection that `listening_port`, once it is set, accepts."""

    log = QuietLogger()
    listening_port: Any = None

    def __init__(self, reactor: Any, context: ServerContext) -> None:
        super().__init__(reactor=reactor, server="")
        self._context = context
        self._reactor = reactor
        limits = context.limits
        self.setProtocolOptions(
            webStatus=False,
            maxFramePayloadSize=limits.message_bytes,
            maxMessagePayloadSize=limits.message_bytes,
            failByDrop=False,
            openHandshakeTimeout=0,  # WebsocketProtocol has its own deadlines and pings
            closeHandshakeTimeout=0,
            autoPingInterval=0,
            tcpNoDelay=True,
            perMessageCompressionAccept=lambda offers: _accept_compression(offers, limits.message_bytes),
            allowedOrigins=["*"],  # AdmissionControl checks origins
            allowNullOrigin=True,
        )
        options = {name: getattr(self, name) for name in OPTION_NAMES}
        self._protocol_class = with_options(WebsocketProtocol, options)

    def limit_accepts(self) -> None:
        """Let the port accept few connections at once; Twisted would accept more and more."""
        if hasattr(self.listening_port, "numberAccepts"):
            self.listening_port.numberAccepts = min(self.listening_port.numberAccepts, MAX_ACCEPTS)

    def buildProtocol(self, addr: object) -> WebsocketProtocol | None:
        """Build the protocol of one connection; None, if its address has had too many just now."""
        self.limit_accepts()
        # A factory that wraps this one, for TLS or the PROXY protocol, needs a protocol in any case.
        is_plain = getattr(self.listening_port, "factory", None) is self
        host = str(getattr(addr, "host", "local"))
        if is_plain and not self._context.admission.afford_connection(host):
            return None
        protocol = self._protocol_class(self._context, self._reactor)
        protocol.factory = self
        return protocol
