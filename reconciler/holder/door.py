"""Where a slot's processes are heard: the socket, who may speak there, and what they stored."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import stat
import struct

from reconciler.holder import cgroup, tree

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from reconciler.holder.ledger import Run

NAME_CHARS = 255
CREDENTIALS = struct.Struct("3i")


class Stored:
    """A descriptor that a service gave into our keeping."""

    __slots__ = ("fd", "name", "number")

    def __init__(self, fd: int, name: str, number: int) -> None:
        self.fd = fd
        self.name = name
        self.number = number

    def is_same(self, fd: int, name: str) -> bool:
        """Tell whether this is what another descriptor is, under the same name."""
        return self.name == name and os.path.samestat(os.fstat(self.fd), os.fstat(fd))


class Door:
    """Where a slot's processes are heard, and what they have stored."""

    __slots__ = ("address", "dropped", "slot", "sock", "stored")

    def __init__(self, slot: str, address: str, sock: socket.socket) -> None:
        self.slot = slot
        self.address = address
        self.sock = sock
        self.stored: list[Stored] = []
        self.dropped = ""
        """The last run of which it was told that a datagram was dropped."""


def sender_of(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, int] | None:
    """Give the pid and the uid of who sent a datagram, as the kernel knows them."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid, uid, _ = CREDENTIALS.unpack(data)
            return pid, uid
    return None


def may_speak(run: Run, pid: int, uid: int) -> bool:
    """Tell whether a process is of a run; one that is gone by now is known by its user."""
    try:
        process = tree.find(pid)
        if process is not None:
            return tree.is_of(run, process) or _is_inside(run, pid)
        main, _ = run.main
        return uid in (0, os.stat(f"/proc/{main}").st_uid)
    except OSError:
        return False


def _is_inside(run: Run, pid: int) -> bool:
    leaf = run.leaves.get(cgroup.MAIN)
    return leaf is not None and pid in cgroup.members(leaf)


def name_of(text: str) -> str:
    """Give the name of a stored descriptor; one that cannot be passed on is the usual one."""
    is_fit = 0 < len(text) <= NAME_CHARS and text.isascii() and text.isprintable()
    return text if is_fit and ":" not in text else "stored"


def close_all(fds: list[int]) -> None:
    """Close descriptors of somebody else's, who must not make us wait with it."""
    for fd in fds:
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                _linger_not(fd)
        with contextlib.suppress(OSError):
            os.close(fd)


def _linger_not(fd: int) -> None:
    sock = socket.socket(fileno=fd)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, array.array("i", [0, 0]).tobytes())
    finally:
        sock.detach()
