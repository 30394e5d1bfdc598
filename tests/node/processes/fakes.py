"""The process of a worker."""

from __future__ import annotations

from typing import Any

import orjson
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from kazoo_bridge.node.processes.link import MESSAGES, ProcessLink
from kazoo_bridge.node.processes.worker_process import WorkerProcess


class FakeProcess(StringTransport):
    """The transport of a process; `signals` are those that were sent, `closed` the descriptors."""

    def __init__(self, worker: WorkerProcess) -> None:
        super().__init__()
        self.worker = worker
        self.signals: list[str] = []
        self.has_exited = False
        self.closed: list[int] = []

    def signalProcess(self, signal: str) -> None:
        if self.has_exited:
            raise ProcessExitedAlready
        self.signals.append(signal)

    def closeChildFD(self, descriptor: int) -> None:
        self.closed.append(descriptor)

    def received(self) -> list[Any]:
        messages: list[Any] = []
        reader = ProcessLink(messages.append)
        reader.makeConnection(StringTransport())
        reader.dataReceived(self.value())
        self.clear()
        return messages

    def send(self, **message: Any) -> None:
        text = orjson.dumps(message)
        self.worker.childDataReceived(MESSAGES, b"%d:%s," % (len(text), text))

    def end(self) -> None:
        self.worker.processEnded(Failure(ProcessTerminated(1)))
