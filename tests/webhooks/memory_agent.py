"""A guarded agent on a reactor in memory: names are resolved by the test, and no connection is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from twisted.internet.testing import MemoryReactorClock
from twisted.web.iweb import IAgent
from zope.interface import implementer

from kazoo_bridge.config import NON_PUBLIC_NETWORKS
from kazoo_bridge.webhooks.egress import EgressPolicy, guarded_agent

#: The default policy.
DEFAULT_POLICY = EgressPolicy.from_config(NON_PUBLIC_NETWORKS, [])

CONNECT_TIMEOUT = 10.0


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        raise NotImplementedError("a look-up cannot be cancelled")


@implementer(IHostnameResolver)
class FakeNameResolver:
    """Answers look-ups with each of `answers` in turn, the last one for ever.

    `names` are the names that were looked up. While `paused`, look-ups wait in `pending` until they are
    called.
    """

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.names: list[str] = []
        self.pending: list[Callable[[], None]] = []
        self.paused = False

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        self.names.append(hostName)
        resolution = _Resolution(hostName)

        def answer() -> None:
            for address in self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]:
                kind = IPv6Address if ":" in address else IPv4Address
                resolutionReceiver.addressResolved(kind("TCP", address, portNumber))
            resolutionReceiver.resolutionComplete()

        resolutionReceiver.resolutionBegan(resolution)
        if self.paused:
            self.pending.append(answer)
        else:
            answer()
        return resolution


@implementer(IReactorPluggableNameResolver)  # as MemoryReactor does itself since Twisted 24.10
class RecordingReactor(MemoryReactorClock):
    """Connects nowhere; `connected_to` are the addresses that connections were requested to."""

    def __init__(self, names: FakeNameResolver) -> None:
        super().__init__()
        self.names = names
        self.installNameResolver(names)

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        self.nameResolver = resolver
        return resolver

    @property
    def connected_to(self) -> list[str]:
        return [host for host, *_ in self.tcpClients]


def make_memory_agent(
    *answers: list[str], policy: EgressPolicy = DEFAULT_POLICY
) -> tuple[RecordingReactor, IAgent]:
    """Make a guarded agent whose name resolver gives these answers, and its reactor."""
    reactor = RecordingReactor(FakeNameResolver(*answers))
    agent, _ = guarded_agent(reactor, policy, CONNECT_TIMEOUT)
    return reactor, agent
