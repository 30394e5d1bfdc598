"""How the first process of a node starts a worker: the same program, with the same configuration."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IProcessProtocol, IReactorProcess

from kazoo_bridge.node.processes.link import MESSAGES

#: Variables by which systemd addresses the first process only.
_OF_FIRST_PROCESS = (
    *("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"),
    *("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"),
)

#: Until the worker handles signals, it ignores SIGINT, which a terminal sends to all processes: it stops when
#: the first one orders so.
_RUN_TWISTD = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN);"
    " from twisted.scripts.twistd import run; run()"
)


@frozen
class WorkerCommand:
    """Program, environment and working directory of workers.

    `passes_output`: what they print is passed on to this process; else they print where it prints.
    """

    _twistd: Sequence[str]
    _plugin: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    passes_output: bool

    @classmethod
    def from_twistd(
        cls, options: Mapping[str, Any], config: str | None, *, has_log_file: bool
    ) -> WorkerCommand:
        """Return how workers of a process are started that twistd runs with `options`.

        `config` is the absolute path of the configuration. `has_log_file`: this process has a log file,
        which only one process can rotate. To be called before twistd changes the folder.
        """
        environment = {name: value for name, value in os.environ.items() if name not in _OF_FIRST_PROCESS}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        reactor = [f"--reactor={options['reactor']}"] if options.get("reactor") else []
        # twistd has replaced the name of the logger with what it names. An object has no name of its own.
        logger: Any = options.get("logger")
        if hasattr(logger, "__qualname__"):
            log = [f"--logger={logger.__module__}.{logger.__qualname__}"]
        elif options.get("syslog"):
            log = ["--syslog", f"--prefix={options.get('prefix') or ''}"]
        else:
            log = ["--logfile=-"]
        return cls(
            ["--nodaemon", "--pidfile=", f"--rundir={options.get('rundir') or '.'}", *reactor, *log],
            [] if config is None else ["--config", config],
            environment,
            os.getcwd(),
            passes_output=has_log_file,
        )

    def spawn(self, reactor: IReactorProcess, number: int, worker: IProcessProtocol) -> None:
        """Start the worker `number`, and let `worker` read what it sends."""
        arguments = [
            # -P: modules in the working folder are not imported, like by twistd itself.
            *(sys.executable, "-P", "-c", _RUN_TWISTD),
            *self._twistd,
            *("kazoo_bridge", *self._plugin, "--worker", str(number)),
        ]
        output: dict[int, int | str] = {1: "r", 2: "r"} if self.passes_output else {1: 1, 2: 2}
        reactor.spawnProcess(
            worker,
            sys.executable,
            arguments,
            self.environment,
            self.folder,
            childFDs={0: "w", **output, MESSAGES: "r"},
        )
