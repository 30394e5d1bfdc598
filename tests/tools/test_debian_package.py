from __future__ import annotations

import gzip
import re
import subprocess
from pathlib import Path

import pytest

from kazoo_bridge import __version__
from kazoo_bridge.config import load
from tools.debian_package import (
    CONFIGURATION,
    DEBIAN,
    ENVIRONMENT,
    UNITS,
    install_documentation,
    install_files,
    write_control,
)

SCRIPTS = ("postinst", "prerm", "postrm")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's files, but for the environment."""
    folder = tmp_path_factory.mktemp("tree")
    install_files(folder)
    install_documentation(folder)
    write_control(folder, "3.11.2")
    return folder


def test_dpkg_builds_the_package(tree: Path, tmp_path: Path) -> None:
    package = tmp_path / "kazoo-bridge.deb"
    subprocess.run(["dpkg-deb", "-Znone", "--build", tree, package], check=True, capture_output=True)
    show: list[str | Path] = ["dpkg-deb", "--showformat=${Package} ${Version}\n${Depends}", "--show", package]
    shown = subprocess.run(show, check=True, capture_output=True, text=True).stdout
    assert shown.splitlines()[0] == f"kazoo-bridge {__version__}"
    assert shown.splitlines()[1].startswith("python3.11, python3 (>= 3.11), python3 (<< 3.12), ")


def test_the_configuration_is_kept_by_dpkg_and_hidden_from_users(tree: Path) -> None:
    assert (tree / "DEBIAN/conffiles").read_text() == f"/{CONFIGURATION}\n"
    path = tree / CONFIGURATION
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.parent.stat().st_mode & 0o777 == 0o750
    assert load(str(path), {}).storage.uri == "sqlite:////var/lib/kazoo-bridge/kazoo-bridge.sqlite3"


@pytest.mark.parametrize("unit", UNITS[:2])
def test_the_units_run_the_environment(tree: Path, unit: str) -> None:
    text = (tree / "lib/systemd/system" / unit).read_text()
    assert re.findall(r"ExecStart=(\S+)", text) == [f"{ENVIRONMENT}/bin/twistd"]
    assert "/opt/" not in text


def test_the_command_of_root_runs_as_the_user_of_the_service(tree: Path) -> None:
    command = (tree / "usr/bin/kazoo-bridge").read_text()
    assert f"{ENVIRONMENT}/bin/kazoo-bridge" in command
    user = re.findall(r"User=(\S+)", (tree / "lib/systemd/system/kazoo-bridge.service").read_text())
    assert re.findall(r"runuser -u (\S+)", command) == user
    assert (tree / "usr/lib/sysusers.d/kazoo-bridge.conf").read_text().split()[:2] == ["u", *user]


@pytest.mark.parametrize("script", [*SCRIPTS, "kazoo-bridge.sh"])
def test_a_script_is_understood_by_the_shell(script: str) -> None:
    subprocess.run(["sh", "-n", DEBIAN / script], check=True)


def test_the_bash_completion_is_understood_by_bash(tree: Path) -> None:
    script = tree / "usr/share/bash-completion/completions/kazoo-bridge"
    subprocess.run(["bash", "-n", script], check=True)


def test_the_documentation_is_installed(tree: Path) -> None:
    folder = tree / "usr/share/doc/kazoo-bridge"
    assert (
        "account create"
        in gzip.decompress((tree / "usr/share/man/man1/kazoo-bridge.1.gz").read_bytes()).decode()
    )
    assert (folder / "examples/haproxy.cfg").is_file()
    assert gzip.decompress((folder / "changelog.gz").read_bytes()).startswith(b"kazoo-bridge (")


def test_the_checksums_are_of_all_files(tree: Path) -> None:
    result = subprocess.run(["md5sum", "--check", "--quiet", "DEBIAN/md5sums"], cwd=tree, capture_output=True)
    assert (result.returncode, result.stdout) == (0, b"")
    listed = {line.split(maxsplit=1)[1] for line in (tree / "DEBIAN/md5sums").read_text().splitlines()}
    assert listed == {
        str(path.relative_to(tree))
        for path in tree.rglob("*")
        if path.is_file() and "DEBIAN" not in path.parts
    }
