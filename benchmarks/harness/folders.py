"""Where the benchmarks keep what they build, and how a command of theirs runs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent

#: The tree that these benchmarks are in, and whose node they measure unless an option names another.
ROOT = BENCHMARKS.parent

#: Git ignores it. Nothing in it is a dependency of the product.
BUILD = BENCHMARKS / "build"


def run(command: Sequence[str | Path], *, folder: Path | None = None, tree: Path | None = None) -> str:
    """Run a command in `folder` and return its output.

    With `tree`, Python imports the product from that tree. Raises RuntimeError with the output if it fails.
    """
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment(tree) if tree else None,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def environment(tree: Path) -> dict[str, str]:
    """Return an environment in which Python imports the product from `tree`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KAZOO_BRIDGE__")}
    return kept | {"PYTHONPATH": str(tree)}


def commit(tree: Path) -> str:
    """Return the short id of the tree's commit; ``+`` marks changes that are not committed."""
    try:
        found = run(["git", "-C", tree, "describe", "--always", "--dirty=+", "--abbrev=9", "--exclude=*"])
    except (RuntimeError, FileNotFoundError):
        return "unknown"
    return found.strip()


def compiled(source: Path) -> Path:
    """Compile a C program if it has changed, and return the path of the executable."""
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    target = BUILD / f"{source.stem}-{digest}"
    if not target.exists():
        if shutil.which("cc") is None:
            raise RuntimeError("the benchmarks need a C compiler: apt-get install gcc libc6-dev")
        BUILD.mkdir(exist_ok=True)
        unfinished = target.with_suffix(f".{os.getpid()}")
        run(["cc", "-O2", "-Wall", "-o", unfinished, source])
        unfinished.rename(target)
    return target


def node_modules() -> Path:
    """Install the peers' npm packages if they have changed, and return the folder to run Node in."""
    folder = BUILD / "npm"
    wanted = (BENCHMARKS / "peers" / "package.json").read_text()
    return _installed(folder, wanted, lambda: _npm_install(folder))


def peers_python() -> Path:
    """Install the peers' Python packages if they have changed, and return their interpreter."""
    folder = BUILD / "python"
    wanted = BENCHMARKS / "peers" / "requirements.txt"

    def install() -> None:
        run([sys.executable, "-m", "venv", "--clear", folder])
        run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--requirement", wanted])

    return _installed(folder, wanted.read_text(), install) / "bin" / "python"


def debian_packages(*names: str) -> Path:
    """Unpack Debian packages without installing them, and return the folder that is their root."""
    folder = BUILD / "debian"

    def install() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run(["apt-get", "download", *names], folder=folder)
        for package in folder.glob("*.deb"):
            run(["dpkg-deb", "--extract", package, folder])

    return _installed(folder, " ".join(names), install)


def _npm_install(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(BENCHMARKS / "peers" / "package.json", folder)
    run(["npm", "install", "--silent", "--no-audit", "--no-fund"], folder=folder)


def _installed(folder: Path, wanted: str, install: Callable[[], None]) -> Path:
    stamp = BUILD / f"{folder.name}.installed"
    if not (stamp.exists() and stamp.read_text() == wanted and folder.exists()):
        print(f"installing the peers into {folder}", file=sys.stderr, flush=True)
        BUILD.mkdir(exist_ok=True)
        install()
        stamp.write_text(wanted)
    return folder
