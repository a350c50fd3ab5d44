"""Wait for a daemon that is away for a moment: its socket, by `git clean -fdx`, or all of it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

WITHIN_S = 7.0
"""A daemon looks every 5 s whether its files are there, and makes them again.

A holder brings one back after 0.2 s; where that dies, too, after 0.4 s and so on.
"""
HOLDER_ANSWERS_WITHIN_S = 1.0
LOOK_EVERY_S = 0.05
ASK_EVERY = 10
"""Looks between two questions whether there is still something to wait for."""


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


def is_expected(root: str) -> bool:
    """Tell whether a holder is about to bring the daemon of a repository back."""
    from reconciler.holder import wire

    with wire.open_socket() as asker:
        asker.settimeout(HOLDER_ANSWERS_WITHIN_S)
        try:
            asker.connect(wire.address(root))
            wire.send(asker, {"do": "expects", "serial": 1})
            found = wire.receive(asker)
        except (OSError, wire.WireError):
            return False
    return found is not None and bool(found[0].get("expects"))


def comes_back(root: str, is_there: Callable[[], bool]) -> bool:
    """Wait until the socket of a daemon is there that lives, or that a holder brings back.

    At once False where neither is so.
    """
    deadline = time.monotonic() + WITHIN_S
    looks = 0
    while not is_there():
        if looks % ASK_EVERY == 0 and not (daemon_lives(root) or is_expected(root)):
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
