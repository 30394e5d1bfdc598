"""Refuses configuration and plugins that others may write: they decide what the node does and executes.

What belongs to root or to the user of the process is trusted, unless others may write it too. A group may
write what belongs to its only member, a user of the same name: so it is with the files of a developer under
Debian's private groups and the umask 002. On a file system that is mounted read-only the modes do not count.

The folder of a file is checked too, because the file can be replaced in it; the folders above are not.
In a folder with the sticky bit, such as ``/tmp``, users cannot replace the files of others.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

#: Files and folders in a folder of plugins.
MAX_FILES = 10_000


def check_file(path: str, status: os.stat_result) -> None:
    """Check an open file, the folder of `path`, and the folder of the file that `path` links to.

    `status` is that of the file. Raises ValueError, whose text names the path and what is wrong.
    """
    if _is_read_only(path):
        return
    _check(path, status)
    _check_folders_of(path)


def check_tree(folder: str) -> None:
    """Check a folder, the folder that it is in, and everything in it; raises ValueError like `check_file`.

    A folder with the sticky bit is refused, because others can add files to it.
    """
    if _is_read_only(folder):
        return
    _check_folders_of(folder)
    folder = os.path.realpath(folder)
    for number, path in enumerate(_everything_in(folder)):
        if number == MAX_FILES:
            raise ValueError(f"{folder}: expected at most {MAX_FILES} files")
        try:
            status = os.stat(path)
        except FileNotFoundError:
            continue  # a link to nothing, or gone meanwhile
        _check(path, status)


def is_readable_by_all(path: str, status: os.stat_result) -> bool:
    """Return whether every user may read the file with this status, and reach it in its folder."""
    folder = os.stat(os.path.dirname(os.path.realpath(path)))
    return bool(status.st_mode & stat.S_IROTH and folder.st_mode & stat.S_IXOTH)


def _check_folders_of(path: str) -> None:
    for folder in {os.path.dirname(os.path.abspath(path)), os.path.dirname(os.path.realpath(path))}:
        _check(folder, os.stat(folder), files_can_be_added=True)


def _everything_in(folder: str) -> Iterator[str]:
    yield folder
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield str(Path(parent, name))


def _is_read_only(path: str) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _check(path: str, status: os.stat_result, *, files_can_be_added: bool = False) -> None:
    user = os.geteuid()
    if status.st_uid not in (0, user):
        trusted = "root" if user == 0 else f"root or {_user_name(user)}, who runs this"
        raise ValueError(
            f"{path}: expected to belong to {trusted}; it belongs to {_user_name(status.st_uid)}"
        )
    if files_can_be_added and status.st_mode & stat.S_ISVTX:
        return
    if status.st_mode & stat.S_IWOTH:
        raise ValueError(f"{path}: every user can write it; expected its owner alone (chmod o-w)")
    if status.st_mode & stat.S_IWGRP and not _is_private_group(status):
        group = _group_name(status.st_gid)
        raise ValueError(f"{path}: the group {group} can write it; expected its owner alone (chmod g-w)")


def _is_private_group(status: os.stat_result) -> bool:
    try:
        owner, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    return (
        owner.pw_gid == group.gr_gid
        and owner.pw_name == group.gr_name
        and not set(group.gr_mem) - {owner.pw_name}
    )


def _user_name(user: int) -> str:
    try:
        return f"the user {pwd.getpwuid(user).pw_name}"
    except KeyError:
        return f"the user {user}"


def _group_name(group: int) -> str:
    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)
