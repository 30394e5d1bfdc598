"""Builds the Debian package `kazoo-bridge`, with all it needs in an environment of its own.

    python -m tools.debian_package [OUTPUT]

The package is for the Debian that builds it: the environment uses its `/usr/bin/python3`, whose version this
program itself must have. OUTPUT is a folder, by default `build/deb`. The last line names the package.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from click.shell_completion import get_completion_class

from kazoo_bridge import __version__
from kazoo_bridge.cli import main as kazoo_bridge
from tools.man_page import render

ROOT = Path(__file__).resolve().parent.parent
DEBIAN = ROOT / "packaging" / "debian"
ETC = ROOT / "etc"

#: The environment, as it is installed.
ENVIRONMENT = "/usr/lib/kazoo-bridge"

#: Its programs that are kept.
PROGRAMS = ("kazoo-bridge", "twistd")

SYSTEM_PYTHON = "/usr/bin/python3"

CONFIGURATION = "etc/kazoo-bridge/kazoo-bridge.toml"

UNITS = ("kazoo-bridge.service", "kazoo-bridge@.service", "kazoo-bridge.socket")


def main(arguments: Sequence[str] = ()) -> int:
    """Build the package below the first of `arguments`; returns the exit code."""
    output = Path(arguments[0] if arguments else ROOT / "build" / "deb").resolve()
    python = _run(SYSTEM_PYTHON, "-c", "import platform; print(platform.python_version())").strip()
    if python.split(".")[:2] != platform.python_version().split(".")[:2]:
        print(f"{SYSTEM_PYTHON} is Python {python}, this is {platform.python_version()}", file=sys.stderr)
        return 1
    shutil.rmtree(output, ignore_errors=True)
    tree = output / "tree"
    _install_environment(output / "wheel", tree / ENVIRONMENT[1:])
    _relocate(tree / ENVIRONMENT[1:], python)
    _compile(tree)
    install_files(tree)
    install_documentation(tree)
    write_control(tree, python)
    package = output / f"kazoo-bridge_{__version__}_{_architecture()}.deb"
    _run("dpkg-deb", "--root-owner-group", "--build", str(tree), str(package))
    print(package)
    return 0


def _install_environment(wheels: Path, environment: Path) -> None:
    """Install the project with its dependencies, and fill the caches that the service could not write."""
    # Else pip finds the project itself below the working directory, and takes it for installed.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    pip = (sys.executable, "-m", "pip")
    _run(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), str(ROOT))
    [wheel] = wheels.glob("*.whl")
    _run(sys.executable, "-m", "venv", "--without-pip", str(environment))
    python = environment / "bin" / "python"
    _run(
        *pip,
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-compile",
        f"{wheel}[postgresql,otel]",
        environ=environ,
    )
    helped = _run(str(environment / "bin" / "twistd"), "--help", environ=environ)
    assert " kazoo_bridge " in helped, "the environment has no service"
    # Fills the cache of the categories, too.
    search = "from kazoo_bridge.plugins.discovery import find_categories; assert find_categories('')"
    _run(str(python), "-c", search, environ=environ)
    for cache in environment.rglob("dropin.cache"):
        # Twisted writes a cache again unless it is later than its modules; archives have whole seconds.
        later = cache.stat().st_mtime + 10
        os.utime(cache, (later, later))


def _relocate(environment: Path, python: str) -> None:
    """Let the environment work at `ENVIRONMENT`, with the system's Python."""
    for path in (environment / "bin").iterdir():
        if path.name not in PROGRAMS:
            path.unlink()
            continue
        _, _, code = path.read_text().partition("\n")
        path.write_text(f"#!{ENVIRONMENT}/bin/python3\n{code}")
    (environment / "bin" / "python3").symlink_to(SYSTEM_PYTHON)
    (environment / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {python}\n"
    )
    (environment / "lib64").unlink(missing_ok=True)
    shutil.rmtree(environment / "include", ignore_errors=True)
    for path in environment.rglob("*"):
        if path.name == ".gitignore" or path.match("autobahn/_flatc/bin/*"):
            path.unlink()
        elif path.is_file() and not path.is_symlink() and path.parent.name != "bin":
            path.chmod(0o644)


def _compile(tree: Path) -> None:
    """Compile all modules, so that the service, which cannot write here, need not do it at each start."""
    for cache in list(tree.rglob("__pycache__")):
        shutil.rmtree(cache)
    options = ("-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", str(tree), "-p", "/")
    # Some packages have templates and old code that do not compile, and are not imported.
    subprocess.run([SYSTEM_PYTHON, "-m", "compileall", *options, str(tree)], check=False, capture_output=True)


def install_files(tree: Path) -> None:
    """Install what belongs outside the environment: the command, units, the user, the configuration."""
    _write(tree / "usr/bin/kazoo-bridge", (DEBIAN / "kazoo-bridge.sh").read_text(), 0o755)
    for unit in UNITS:
        text = (ETC / unit).read_text().replace("/opt/kazoo_bridge/bin/", f"{ENVIRONMENT}/bin/")
        _write(tree / "lib/systemd/system" / unit, text)
    _write(tree / "usr/lib/sysusers.d/kazoo-bridge.conf", (DEBIAN / "kazoo-bridge.sysusers").read_text())
    completion = get_completion_class("bash")
    assert completion is not None
    source = completion(kazoo_bridge, {}, "kazoo-bridge", "_KAZOO_BRIDGE_COMPLETE").source()
    _write(tree / "usr/share/bash-completion/completions/kazoo-bridge", source)
    _write(tree / CONFIGURATION, configuration(), 0o640)
    (tree / CONFIGURATION).parent.chmod(0o750)


def configuration() -> str:
    """Return the shipped configuration, with the database where the service may write."""
    text = (ETC / "kazoo-bridge.toml").read_text()
    default = '"sqlite:///kazoo-bridge.sqlite3"  '
    assert default in text
    return text.replace(default, '"sqlite:////var/lib/kazoo-bridge/kazoo-bridge.sqlite3"  ')


def install_documentation(tree: Path) -> None:
    """Install the manual page, the licence, the changelog, and examples."""
    _write_compressed(
        tree / "usr/share/man/man1/kazoo-bridge.1.gz", render(kazoo_bridge, "kazoo-bridge", __version__)
    )
    folder = tree / "usr/share/doc/kazoo-bridge"
    _write(folder / "copyright", (ROOT / "LICENSE").read_text())
    _write_compressed(folder / "NEWS.gz", (ROOT / "CHANGELOG.md").read_text())
    _write_compressed(folder / "changelog.gz", changelog())
    _write(tree / "usr/share/lintian/overrides/kazoo-bridge", (DEBIAN / "lintian-overrides").read_text())
    for path in ETC.rglob("*"):
        if path.is_file() and path.name not in UNITS and "__pycache__" not in path.parts:
            _write(folder / "examples" / path.name, path.read_text())


def changelog() -> str:
    """Return the package's changelog in Debian's form, which leads to the project's own."""
    now = format_datetime(datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", _now())), UTC))
    return (
        f"kazoo-bridge ({__version__}) bookworm; urgency=medium\n\n  * See NEWS.gz.\n\n"
        f" -- kazoo_bridge developers <developers@kazoo-bridge.invalid>  {now}\n"
    )


def write_control(tree: Path, python: str) -> None:
    """Write what dpkg reads: the description, checksums, and the scripts of installation and removal."""
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    major, minor = map(int, python.split(".")[:2])
    version, next_version = f"{major}.{minor}", f"{major}.{minor + 1}"
    control = (DEBIAN / "control").read_text()
    values = {
        "version": __version__,
        "architecture": _architecture(),
        "installed_size": str(sum(path.stat().st_size for path in files) // 1024),
        "python": f"python{version}, python3 (>= {version}), python3 (<< {next_version})",
    }
    sums = "".join(
        f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in files
    )
    _write(tree / "DEBIAN/md5sums", sums)
    _write(tree / "DEBIAN/control", control.format_map(values))
    _write(tree / "DEBIAN/conffiles", f"/{CONFIGURATION}\n")
    for script in ("postinst", "prerm", "postrm"):
        _write(tree / "DEBIAN" / script, (DEBIAN / script).read_text(), 0o755)
    for path in _folders(tree):
        path.chmod(0o750 if path == (tree / CONFIGURATION).parent else 0o755)


def _folders(tree: Path) -> Iterator[Path]:
    yield from (path for path in (tree, *tree.rglob("*")) if path.is_dir() and not path.is_symlink())


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _write_compressed(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    path.chmod(0o644)


def _now() -> str:
    return str(int(datetime.now(UTC).timestamp()))


def _architecture() -> str:
    return _run("dpkg", "--print-architecture").strip()


def _run(*command: str, environ: dict[str, str] | None = None) -> str:
    """Run a command and return its output. Raises `CalledProcessError` when it fails."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environ).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
