"""The name of this node in messages to other nodes, and in answers of REST."""

from __future__ import annotations

import os
import re
import socket

from kazoo_bridge.config import Config

_PORT = re.compile(r"(?:haproxy:)?(?:tcp6?|ssl):(?:port=)?([1-9][0-9]*)(?::.*)?", re.DOTALL)


def node_name(config: Config, worker: int = 0) -> str:
    """Return ``node.name``, or ``kazoo_bridge@HOST:PORT`` with the port of REST.

    Two nodes on one host cannot listen on the same port. Without a fixed port, it is the id of the node's
    first process. The name of a worker, whose number is not 0, ends with ``-NUMBER``.
    """
    port = _PORT.fullmatch(config.http.endpoint)
    unique = port[1] if port is not None else os.getppid() if worker else os.getpid()
    name = config.node.name or f"kazoo_bridge@{socket.gethostname()}:{unique}"
    return f"{name}-{worker}" if worker else name
