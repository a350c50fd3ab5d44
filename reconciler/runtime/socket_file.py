"""Where a repository's socket is, computed with nothing but `os`.

The client's fast path imports this module, so it imports no other: a dataclass alone would cost
more than the whole of what is done here.
"""

from __future__ import annotations

import os

STATE_DIRECTORY = ".weaver"
SOCKET_NAME = "weaver.sock"
ELSEWHERE_NAME = "weaver.sock.path"
"""The file that says where the socket is when it is not beside it."""

LONGEST_PATH = 107
"""Bytes of a socket's path that the kernel takes (sun_path less its end)."""


def state_directory(root: str, state_dir: str | None = None) -> str:
    """Give the state directory of a repository; `WEAVER_STATE_DIR` is the caller's to pass.

    >>> state_directory("/srv/app")
    '/srv/app/.weaver'
    """
    return state_dir or f"{root}/{STATE_DIRECTORY}"


def socket_path(root: str, state_dir: str | None = None) -> str:
    """Give the path at which the daemon of a repository listens, or would.

    It is in the state directory unless the kernel cannot take so long a path; then the daemon
    leaves a note there that says where it is.
    """
    state = state_directory(root, state_dir)
    path = f"{state}/{SOCKET_NAME}"
    if len(os.fsencode(path)) <= LONGEST_PATH:
        return path
    return (
        _read_text(f"{state}/{ELSEWHERE_NAME}")
        or f"{runtime_directories()[0]}/weaver-{folder_key(root)}.sock"
    )


def folder_key(root: str) -> str:
    """Name a folder by its device and inode, which a second mount or a symlink cannot change."""
    found = os.stat(root)
    return f"{found.st_dev}-{found.st_ino}"


def daemon_lock(key: str) -> str:
    """Give the name, without its leading zero byte, of the abstract socket a daemon holds."""
    return f"weaver-daemon-{key}"


def runtime_directories() -> list[str]:
    """Give the directories that may hold sockets and notes of this user, the preferred first.

    A daemon uses the first; a client, whose environment may differ, looks into all.
    """
    uid = os.getuid()
    places = [os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{uid}"]
    found = [place for place in dict.fromkeys(places) if place and _is_ours(place, uid)]
    own = f"/run/weaver-{uid}"
    if _is_ours(own, uid) or os.access("/run", os.W_OK):
        found.append(own)
    return [*found, f"/tmp/weaver-{uid}"]


def registry_directories() -> list[str]:
    """Give the directories in which daemons of this user leave a note each: see `read_registry`."""
    return [f"{place}/weaver-daemons" for place in runtime_directories()]


def read_registry() -> list[tuple[str, str]]:
    """Give (repository, socket) of each daemon of this user that runs.

    A note is a file named by the folder's key, of two lines: the repository, and its socket. Of
    a daemon that was killed it stays, so the kernel is asked whose lock is held.
    """
    found: dict[str, str] = {}
    held = _read_text("/proc/net/unix").split()
    for place in registry_directories():
        if not _is_ours(place, os.getuid()):
            continue
        for name in sorted(os.listdir(place)):
            lines = _read_text(f"{place}/{name}").split("\n")
            if len(lines) > 1 and f"@{daemon_lock(name)}" in held:
                found[lines[0]] = lines[1]
    return list(found.items())


def _is_ours(path: str, uid: int) -> bool:
    try:
        return os.stat(path).st_uid == uid
    except OSError:
        return False


def _read_text(path: str) -> str:
    try:
        with open(path, "rb") as note:
            return os.fsdecode(note.read().strip())
    except OSError:
        return ""
