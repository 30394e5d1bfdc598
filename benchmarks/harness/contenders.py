"""What is compared: our node and the peers, each as one process or several.

``ours``, ``node`` and ``asyncio`` are one process each, ``ours2`` and so on are two on one queue (ours on one
database). ``ours@/path/to/tree`` is our node of another tree.
"""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from benchmarks.harness import events
from benchmarks.harness.folders import BENCHMARKS, ROOT, node_modules, peers_python
from benchmarks.harness.node import BenchmarkNode
from benchmarks.harness.processes import family

#: As our node's default configuration.
_PREFETCH = 500
_REQUESTS_PER_HOOK = 32

_SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
_CLUSTER_ID = "0123456789abcdef0123456789abcdef"
_NAME = re.compile(r"(ours|node|asyncio)([1-9]?)(?:@(.+))?")
_STOP_TIMEOUT = 60.0


class WantedHook(NamedTuple):
    """A hook that each contender must have, for the channel_create of its account."""

    account_id: str
    uri: str
    verb: str = "post"
    format: str = "form-data"
    signed: bool = False
    ordered: bool = False


class Contender(Protocol):
    """Delivers the events in the queue."""

    name: str

    def prepare(self, amqp_uri: str, hooks: Sequence[WantedHook]) -> None:
        """Make its configuration, once."""

    def start(self) -> None:
        """Start it."""

    def pids(self) -> list[int]:
        """Return its processes."""

    def stop(self) -> None:
        """Stop it as its operator would."""


class OurContender:
    """Nodes of one tree, with one database."""

    def __init__(
        self,
        name: str,
        folder: Path,
        tree: Path,
        processes: int,
        more_config: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.tree = tree
        self._folder = folder
        self._processes = processes
        self._more_config = more_config or {}
        self.nodes: list[BenchmarkNode] = []

    def prepare(self, amqp_uri: str, hooks: Sequence[WantedHook]) -> None:
        """Create the accounts and the hooks; the first node also declares the queue and its bindings."""
        self.nodes = [
            BenchmarkNode(
                self._folder / str(number),
                self.tree,
                amqp_uri,
                storage=self._folder / "bridge.sqlite3",
                more_config=self._more_config,
            )
            for number in range(self._processes)
        ]
        first = self.nodes[0]
        first.create_accounts(list(dict.fromkeys(hook.account_id for hook in hooks)))
        first.start()
        try:
            for hook in hooks:
                first.rest("PUT", f"/accounts/{hook.account_id}/webhooks", _document(hook))
        finally:
            first.stop()

    def start(self) -> None:
        """Start the nodes; they consume as soon as they are ready."""
        for node in self.nodes:
            node.start(wait=False)

    def pids(self) -> list[int]:
        """Return the nodes' processes, and those that they have started."""
        return family(node.pid for node in self.nodes)

    def stop(self) -> None:
        """Stop the nodes."""
        for node in self.nodes:
            node.stop()


def _document(hook: WantedHook) -> dict[str, Any]:
    return {
        "name": "benchmark",
        "uri": hook.uri,
        "hook": "channel_create",
        "http_verb": hook.verb,
        "format": hook.format,
        **({"secret": _SECRET} if hook.signed else {}),
        **({"ordered": True} if hook.ordered else {}),
    }


class PeerContender:
    """Processes of one program, which gets the path of a specification in JSON.

    `batched`: it acknowledges in batches, if it can.
    """

    def __init__(self, name: str, folder: Path, processes: int, *, batched: bool = True) -> None:
        self.name = name
        self._folder = folder
        self._count = processes
        self._batched = batched
        self._processes: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._specification = folder / "specification.json"
        if name.startswith("node"):
            self._cwd = node_modules()
            self._command: list[str | Path] = ["node", BENCHMARKS / "peers" / "webhooks.mjs"]
        else:
            self._cwd = folder
            self._command = [peers_python(), BENCHMARKS / "peers" / "webhooks_asyncio.py"]

    def prepare(self, amqp_uri: str, hooks: Sequence[WantedHook]) -> None:
        """Write the specification."""
        specification = {
            "amqp_uri": amqp_uri,
            "queue": events.QUEUE,
            "prefetch": _PREFETCH,
            "connections_per_receiver": _REQUESTS_PER_HOOK,
            "batch_acknowledgements": self._batched,
            "cluster_id": _CLUSTER_ID,
            "hooks": [
                {
                    "id": f"{number:032x}",
                    "account_id": hook.account_id,
                    "hook": "channel_create",
                    "uri": hook.uri,
                    "verb": hook.verb,
                    "format": hook.format,
                    "ordered": hook.ordered,
                    "secret": _SECRET if hook.signed else "",
                }
                for number, hook in enumerate(hooks)
            ],
        }
        self._specification.write_text(json.dumps(specification))

    def start(self) -> None:
        """Start the processes."""
        with (self._folder / "log").open("ab") as log:
            self._processes = [
                subprocess.Popen(
                    [*self._command, self._specification],
                    cwd=self._cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
                for _ in range(self._count)
            ]

    def pids(self) -> list[int]:
        """Return the processes."""
        if any(process.poll() is not None for process in self._processes):
            raise RuntimeError(f"{self.name} has ended:\n{(self._folder / 'log').read_text()[-3000:]}")
        return [process.pid for process in self._processes]

    def stop(self) -> None:
        """Send SIGTERM, and kill what takes longer than a minute."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes = []


def make_contender(text: str, folder: Path, more_config: Mapping[str, str]) -> Contender:
    """Return the contender that a name means. `more_config` is for our node. Raises ValueError."""
    kind, count, tree = _parse(text)
    folder = folder / re.sub(r"\W+", "-", text)
    if kind == "ours":
        return OurContender(text, folder, tree, count, more_config)
    return PeerContender(text, folder, count)


def trees_of(names: Sequence[str]) -> dict[str, Path]:
    """Return the trees of our contenders, by name; that of the benchmarks themselves if there is none.

    Raises ValueError for a name that is none.
    """
    found = {name: tree for name in names for kind, _, tree in [_parse(name)] if kind == "ours"}
    return found or {"benchmarks": ROOT}


def tree_of(name: str) -> Path:
    """Return the tree of ``ours`` or ``ours@/path/to/tree``. Raises ValueError for another name."""
    kind, count, tree = _parse(name)
    if kind != "ours" or count != 1:
        raise ValueError(f"no contender here: {name}")
    return tree


def _parse(text: str) -> tuple[str, int, Path]:
    found = _NAME.fullmatch(text)
    if found is None or (found[3] and found[1] != "ours"):
        raise ValueError(f"no contender: {text}; there are ours, node and asyncio")
    tree = Path(found[3]).resolve() if found[3] else ROOT
    if not (tree / "kazoo_bridge" / "__init__.py").exists():
        raise ValueError(f"{tree} has no kazoo_bridge")
    return found[1], int(found[2] or 1), tree
