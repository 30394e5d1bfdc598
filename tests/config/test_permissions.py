from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from twisted.logger import capturedLogs

from kazoo_bridge.config import ConfigError, load, permissions
from kazoo_bridge.config.permissions import check_file, check_tree

ALICE, BOB = 4001, 4002
GROUP_OF_ALICE, STAFF = 4001, 4003

Owners = dict[Path, tuple[int, int]]


@define
class User:
    pw_name: str
    pw_gid: int


@define
class Group:
    gr_name: str
    gr_gid: int
    gr_mem: list[str]


@pytest.fixture
def owners(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Owners:
    """The owners and groups of paths; of all others, ALICE, who also runs the tests."""
    owners: Owners = {}
    users = {ALICE: User("alice", GROUP_OF_ALICE), BOB: User("bob", STAFF), 0: User("root", 0)}
    groups = {
        GROUP_OF_ALICE: Group("alice", GROUP_OF_ALICE, []),
        STAFF: Group("staff", STAFF, []),
    }
    real_stat = os.stat

    def fake_stat(path: Any, **options: Any) -> os.stat_result:
        status = list(real_stat(path, **options))
        status[stat.ST_UID], status[stat.ST_GID] = owners.get(Path(path), (ALICE, GROUP_OF_ALICE))
        return os.stat_result(status)

    monkeypatch.setattr(os, "stat", fake_stat)
    monkeypatch.setattr(os, "geteuid", lambda: ALICE)
    monkeypatch.setattr(pwd, "getpwuid", users.__getitem__)
    monkeypatch.setattr(grp, "getgrgid", groups.__getitem__)
    tmp_path.chmod(0o700)
    return owners


def make_file(folder: Path, mode: int = 0o640) -> Path:
    path = folder / "bridge.toml"
    path.write_text("")
    path.chmod(mode)
    return path


def problem(check: Callable[[], None]) -> str | None:
    try:
        check()
    except ValueError as error:
        return str(error)
    return None


def problem_of_file(path: Path) -> str | None:
    return problem(lambda: check_file(str(path), os.stat(path)))


@pytest.mark.parametrize(
    ("mode", "owner", "expected"),
    [
        (0o600, (ALICE, STAFF), None),
        (0o644, (0, 0), None),
        (0o640, (0, STAFF), None),
        (0o664, (ALICE, GROUP_OF_ALICE), None),
        (0o664, (ALICE, STAFF), "the group staff can write it; expected its owner alone (chmod g-w)"),
        (0o664, (0, GROUP_OF_ALICE), "the group alice can write it; expected its owner alone (chmod g-w)"),
        (0o664, (ALICE, 4999), "the group 4999 can write it; expected its owner alone (chmod g-w)"),
        (0o646, (ALICE, GROUP_OF_ALICE), "every user can write it; expected its owner alone (chmod o-w)"),
        (0o666, (0, 0), "every user can write it; expected its owner alone (chmod o-w)"),
        (
            0o600,
            (BOB, STAFF),
            "expected to belong to root or the user alice, who runs this; it belongs to the user bob",
        ),
        (
            0o600,
            (4998, STAFF),
            "expected to belong to root or the user alice, who runs this; it belongs to the user 4998",
        ),
    ],
)
def test_who_may_write_a_file(
    owners: Owners, tmp_path: Path, mode: int, owner: tuple[int, int], expected: str | None
) -> None:
    path = make_file(tmp_path, mode)
    owners[path] = owner
    assert problem_of_file(path) == (f"{path}: {expected}" if expected else None)


def test_root_trusts_root_alone(owners: Owners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_file(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert problem_of_file(path) == f"{path}: expected to belong to root; it belongs to the user alice"


def test_a_private_group_with_another_member_is_no_private_group(
    owners: Owners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_file(tmp_path, 0o664)
    monkeypatch.setattr(grp, "getgrgid", lambda gid: Group("alice", gid, ["bob"]))
    assert problem_of_file(path) is not None


@pytest.mark.parametrize(
    ("mode", "owner", "is_fine"),
    [
        (0o755, (ALICE, STAFF), True),
        (0o777, (ALICE, STAFF), False),
        (0o775, (ALICE, STAFF), False),
        (0o1777, (0, 0), True),
        (0o1777, (BOB, STAFF), False),
        (0o755, (BOB, STAFF), False),
    ],
)
def test_the_folder_of_a_file(
    owners: Owners, tmp_path: Path, mode: int, owner: tuple[int, int], is_fine: bool
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    owners[folder] = owner
    found = problem_of_file(make_file(folder))
    assert found is None if is_fine else (found or "").startswith(f"{folder}: ")


def test_the_folders_of_a_link_and_of_its_target(owners: Owners, tmp_path: Path) -> None:
    for name in ("links", "targets"):
        (tmp_path / name).mkdir()
    path = tmp_path / "links" / "bridge.toml"
    path.symlink_to(make_file(tmp_path / "targets"))
    assert problem_of_file(path) is None
    for name in ("links", "targets"):
        (tmp_path / name).chmod(0o777)
        assert (problem_of_file(path) or "").startswith(f"{tmp_path / name}: ")
        (tmp_path / name).chmod(0o755)


class TestFoldersOfPlugins:
    def test_everything_in_it_is_checked(self, owners: Owners, tmp_path: Path) -> None:
        folder = tmp_path / "plugins"
        (folder / "__pycache__").mkdir(parents=True)
        paths = [
            folder / "plugin.py",
            folder / "dropin.cache",
            folder / "__pycache__" / "plugin.cpython-311.pyc",
        ]
        for path in paths:
            path.write_text("")
        (folder / "nowhere.py").symlink_to("nothing")
        assert problem(lambda: check_tree(str(folder))) is None
        for path in (*paths, folder / "__pycache__", folder, tmp_path):
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode | 0o002)
            assert (problem(lambda: check_tree(str(folder))) or "").startswith(f"{path}: every user")
            path.chmod(mode)
            owners[path] = (BOB, STAFF)
            assert (problem(lambda: check_tree(str(folder))) or "").startswith(f"{path}: expected to belong")
            del owners[path]

    def test_the_folder_of_a_link_to_it(self, owners: Owners, tmp_path: Path) -> None:
        (tmp_path / "plugins").mkdir()
        (tmp_path / "links").mkdir()
        (tmp_path / "links" / "mine").symlink_to(tmp_path / "plugins")
        assert problem(lambda: check_tree(str(tmp_path / "links" / "mine"))) is None
        (tmp_path / "links").chmod(0o777)
        found = problem(lambda: check_tree(str(tmp_path / "links" / "mine")))
        assert (found or "").startswith(f"{tmp_path / 'links'}: every user")

    def test_others_can_add_files_to_a_folder_with_the_sticky_bit(
        self, owners: Owners, tmp_path: Path
    ) -> None:
        folder = tmp_path / "plugins"
        folder.mkdir()
        folder.chmod(0o1777)
        assert problem(lambda: check_tree(str(folder))) is not None

    def test_a_folder_that_is_none_of_plugins(
        self, owners: Owners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(permissions, "MAX_FILES", 3)
        for number in range(3):
            (tmp_path / str(number)).write_text("")
        assert problem(lambda: check_tree(str(tmp_path))) == f"{tmp_path}: expected at most 3 files"


def test_on_a_read_only_file_system_modes_mean_nothing(
    owners: Owners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_file(tmp_path, 0o666)

    class Status:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "statvfs", lambda _path: Status)
    assert problem_of_file(path) is None
    assert problem(lambda: check_tree(str(tmp_path))) is None


class TestLoad:
    def test_a_file_that_others_can_write_is_not_read(self, tmp_path: Path) -> None:
        path = make_file(tmp_path, 0o666)
        path.write_text("not TOML")
        with pytest.raises(ConfigError) as refused:
            load(str(path), {})
        assert refused.value.errors == (
            f"{path}: every user can write it; expected its owner alone (chmod o-w)",
        )

    def test_plugins_that_others_can_write_are_named_with_their_key(self, tmp_path: Path) -> None:
        (tmp_path / "plugins").mkdir()
        path = tmp_path / "plugins" / "evil.py"
        path.write_text("")
        path.chmod(0o666)
        with pytest.raises(ConfigError) as refused:
            load(None, {"KAZOO_BRIDGE__PLUGINS__PATH": str(path.parent)})
        assert refused.value.errors == (
            f"plugins.path: {path}: every user can write it; expected its owner alone (chmod o-w)",
        )

    def test_the_passwords_of_zones_are_secrets(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        path = make_file(tmp_path, 0o644)
        path.write_text('[amqp]\nuri = "amqp://home"\nzones = ["amqp://one", "amqp://bridge:secret@two"]')
        warnings: list[str] = []
        load(str(path), {}, warnings.append)
        assert warnings == [f"{path}: every user can read it, and the secrets of amqp.zones (chmod o-r)"]

    @pytest.mark.parametrize(
        ("text", "mode", "warns"),
        [
            ('[amqp]\nuri = "amqp://bridge:secret@broker/"', 0o644, True),
            ('[amqp]\nuri = "amqp://bridge:secret@broker/"', 0o640, False),
            ('[amqp]\nuri = "embedded:"\n[storage]\nuri = "sqlite:///x.sqlite3"', 0o644, False),
        ],
    )
    def test_secrets_that_every_user_can_read_are_warned_of(
        self, tmp_path: Path, text: str, mode: int, warns: bool
    ) -> None:
        tmp_path.chmod(0o755)
        path = make_file(tmp_path, mode)
        path.write_text(text)
        warnings: list[str] = []
        load(str(path), {}, warnings.append)
        expected = f"{path}: every user can read it, and the secrets of amqp.uri (chmod o-r)"
        assert warnings == [expected] * warns
        with capturedLogs() as logs:
            load(str(path), {})
        assert [log["text"] for log in logs] == [expected] * warns

    def test_a_file_in_a_folder_of_its_owner_is_not_readable(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o700)
        path = make_file(tmp_path, 0o644)
        path.write_text('[amqp]\nuri = "amqp://bridge:secret@broker/"')
        warnings: list[str] = []
        load(str(path), {}, warnings.append)
        assert warnings == []
