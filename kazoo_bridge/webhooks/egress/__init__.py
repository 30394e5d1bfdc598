"""Restricts where webhooks may connect to.

A hook's URI is chosen by a customer, so every connection passes three checks: the URI is parsed strictly
(`destination`), the addresses of its host are judged by the operator's policy (`resolver`, `policy`), and
the connection is opened to a judged address, not to the name (`endpoint`, `proxy`, `tls`). `guarded_agent`
is the whole as a Twisted `IAgent`. The guarantees are stated in ``docs/explanation/egress.md``.
"""

from kazoo_bridge.webhooks.egress.agent import guarded_agent
from kazoo_bridge.webhooks.egress.connection_pool import ConnectionPool
from kazoo_bridge.webhooks.egress.destination import (
    BadDestination,
    mask_credentials,
    parse_destination,
    remove_credentials,
)
from kazoo_bridge.webhooks.egress.policy import EgressDenied, EgressPolicy
from kazoo_bridge.webhooks.egress.proxy import Proxy, ProxyFailed
from kazoo_bridge.webhooks.egress.resolver import (
    CoalescingResolver,
    HostNotFound,
    ThreadedResolver,
    denial_reason,
    reactor_resolver,
)
from kazoo_bridge.webhooks.egress.tls import TlsClient

__all__ = [
    "BadDestination",
    "CoalescingResolver",
    "ConnectionPool",
    "EgressDenied",
    "EgressPolicy",
    "HostNotFound",
    "Proxy",
    "ProxyFailed",
    "ThreadedResolver",
    "TlsClient",
    "denial_reason",
    "guarded_agent",
    "mask_credentials",
    "parse_destination",
    "reactor_resolver",
    "remove_credentials",
]
