"""Wait for the socket of a daemon that lives: `git clean -fdx` takes it away for a moment."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

WITHIN_S = 7.0
"""A daemon looks every 5 s whether its files are there, and makes them again."""
LOOK_EVERY_S = 0.05
ASK_EVERY = 10
"""Looks between two questions whether the daemon lives still."""


def daemon_pid(root: str) -> int | None:
    """Give the pid of the daemon of a repository, whatever became of its files; None if none."""
    from reconciler.runtime import socket_file
    from reconciler.runtime.home import owner_of

    try:
        return owner_of(f"\0{socket_file.daemon_lock(socket_file.folder_key(root))}".encode())
    except OSError:
        return None


def comes_back(root: str, is_there: Callable[[], bool]) -> bool:
    """Wait until the socket of a living daemon is there; at once False where no daemon lives."""
    deadline = time.monotonic() + WITHIN_S
    looks = 0
    while not is_there():
        if looks % ASK_EVERY == 0 and daemon_pid(root) is None:
            return False
        if time.monotonic() > deadline:
            return False
        looks += 1
        time.sleep(LOOK_EVERY_S)
    return True


def listens(path: str, timeout_s: float) -> bool:
    """Tell whether somebody listens on a socket."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(timeout_s)
            probe.connect(path)
    except (FileNotFoundError, ConnectionError):
        return False
    return True
