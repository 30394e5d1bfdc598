"""Where hooks may go, and the guarded way there: what is judged at the moment of connecting is what is connected to."""

from kazoo_bridge.webhooks.egress.agent import guarded_agent
from kazoo_bridge.webhooks.egress.destination import BadDestination, destination_of, masked
from kazoo_bridge.webhooks.egress.names import ThreadedLookUp, reactor_look_up
from kazoo_bridge.webhooks.egress.policy import EgressDenied, EgressPolicy
from kazoo_bridge.webhooks.egress.proxy import Proxy
from kazoo_bridge.webhooks.egress.resolving import HostNotFound, Lookups, forbidden_reason
from kazoo_bridge.webhooks.egress.tls import TlsClient

__all__ = [
    "BadDestination",
    "EgressDenied",
    "EgressPolicy",
    "HostNotFound",
    "Lookups",
    "Proxy",
    "ThreadedLookUp",
    "TlsClient",
    "destination_of",
    "forbidden_reason",
    "guarded_agent",
    "masked",
    "reactor_look_up",
]
