"""Where hooks may go, and the guarded way there: what is judged at the moment of connecting is what is connected to."""

from kazoo_bridge.webhooks.egress.agent import guarded_agent
from kazoo_bridge.webhooks.egress.destination import BadDestination, masked, parse_destination
from kazoo_bridge.webhooks.egress.permitted_addresses import CoalescingResolver, HostNotFound, denial_reason
from kazoo_bridge.webhooks.egress.policy import EgressDenied, EgressPolicy
from kazoo_bridge.webhooks.egress.proxy import Proxy
from kazoo_bridge.webhooks.egress.resolver import ThreadedResolver, reactor_resolver
from kazoo_bridge.webhooks.egress.tls import TlsClient

__all__ = [
    "BadDestination",
    "CoalescingResolver",
    "EgressDenied",
    "EgressPolicy",
    "HostNotFound",
    "Proxy",
    "ThreadedResolver",
    "TlsClient",
    "denial_reason",
    "guarded_agent",
    "masked",
    "parse_destination",
    "reactor_resolver",
]
