"""twistd as a fork of a process that has imported the node's modules, with the interface of `Popen`."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.integration.node_preload"])


def _run(arguments: Sequence[str], folder: Path, log: Path, environment: Mapping[str, str]) -> None:
    """Become twistd: the main function of the fork."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    with log.open("ab") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    sys.argv = ["twistd", *arguments]
    from twisted.scripts import twistd

    try:
        twistd.run()
    finally:
        atexit._run_exitfuncs()  # a fork ends without them, but a node's exit code is set by one


class ForkedTwistd:
    """A running twistd, whose output is appended to the file `log`. Threads may share it."""

    def __init__(self, arguments: Sequence[str], folder: Path, log: Path) -> None:
        self._lock = threading.Lock()
        self._process = _CONTEXT.Process(
            target=_run, args=(arguments, folder, log, dict(os.environ)), daemon=True
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        with self._lock:  # the code is read from a pipe, once
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends and return its exit code. Raises `subprocess.TimeoutExpired`."""
        if self.poll() is None:
            wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("twistd", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        self.send_signal(signal.SIGKILL)
