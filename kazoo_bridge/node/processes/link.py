"""Messages between the first process of a node and its workers: JSON objects in netstrings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import NetstringReceiver
from twisted.python.failure import Failure

#: The descriptor on which a worker sends messages; it receives them on its standard input.
MESSAGES = 3

#: Bytes of the largest message: the metrics of a worker.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

Message = Mapping[str, Any]


class ProcessLink(NetstringReceiver):
    """One end of a link.

    `on_message` receives each message, `on_closed` is called when the other end closes the link, or ends.
    """

    MAX_LENGTH = MAX_MESSAGE_BYTES

    def __init__(
        self, on_message: Callable[[Message], None], on_closed: Callable[[], None] = lambda: None
    ) -> None:
        self._on_message = on_message
        self._on_closed = on_closed

    def stringReceived(self, string: bytes) -> None:
        """Pass a message on."""
        self._on_message(orjson.loads(string))

    def send(self, message: Message) -> None:
        """Send a message; does nothing while the link is not open."""
        if self.transport is not None and self.connected:
            self.sendString(orjson.dumps(message))

    def close(self) -> None:
        """Close the link, if it is open; `on_closed` is not called."""
        self._on_closed = lambda: None
        if self.transport is not None and self.connected:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Report that the link is closed."""
        super().connectionLost(reason)
        self.connected = 0
        self._on_closed()
