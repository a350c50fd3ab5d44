"""Wait for the socket of a daemon that lives: `git clean -fdx` takes it away for a moment."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

WITHIN_S = 7.0
"""A daemon looks every 5 s whether its files are there, and makes them again."""
COMEBACK_S = 5.0
"""A holder brings a daemon back after 0.2 s; where the daemon dies again, after 0.4 s and so on."""
LOOK_EVERY_S = 0.05
ASK_EVERY = 10
"""Looks between two questions whether the daemon lives still."""


def daemon_lives(root: str) -> bool:
    """Tell whether a repository has a daemon, whatever became of its files."""
    from reconciler.runtime.home import is_held

    name = _daemon_lock(root)
    return name is not None and is_held(name)


def daemon_pid(root: str) -> int | None:
    """Give the pid of the daemon of a repository, as far as it can be known."""
    from reconciler.runtime.home import owner_of

    name = _daemon_lock(root)
    return None if name is None else owner_of(name)


def _daemon_lock(root: str) -> bytes | None:
    from reconciler.runtime import socket_file

    try:
        return f"\0{socket_file.daemon_lock(socket_file.folder_key(root))}".encode()
    except OSError:
        return None


def comes_back(root: str, is_there: Callable[[], bool]) -> bool:
    """Wait until the socket of a living daemon is there; at once False where no daemon lives."""
    deadline = time.monotonic() + WITHIN_S
    looks = 0
    while not is_there():
        if looks % ASK_EVERY == 0 and not daemon_lives(root):
            return False
        if time.monotonic() > deadline:
            return False
        looks += 1
        time.sleep(LOOK_EVERY_S)
    return True


def await_comeback(root: str) -> None:
    """Give a holder the time to bring a daemon back that died just now; at once where none may."""
    from reconciler.holder import wire
    from reconciler.runtime.home import is_held

    try:
        holder = wire.address(root).encode()
    except OSError:
        return
    deadline = time.monotonic() + COMEBACK_S
    while time.monotonic() < deadline and not daemon_lives(root):
        if not is_held(holder, socket.SOCK_SEQPACKET):
            return
        time.sleep(LOOK_EVERY_S)


def listens(path: str, timeout_s: float) -> bool:
    """Tell whether somebody listens on a socket."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(timeout_s)
            probe.connect(path)
    except (FileNotFoundError, ConnectionError):
        return False
    return True
