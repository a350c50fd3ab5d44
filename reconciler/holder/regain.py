"""Take a socket back out of a process that has it: where daemon and holder died, nobody else has.

The kernel lets us do so with whom we may trace: any process for root, else our own user's, unless
a security module such as Yama says otherwise.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket

from reconciler.failpoints import failpoint
from reconciler.holder import binding, tree

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from reconciler.holder.ledger import Run

PIDFD_GETFD = 438  # on every architecture
FDS_LOOKED_AT = 4096
FIRST = 3
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def regain(runs: Collection[Run], address: str) -> socket.socket | None:
    """Give a duplicate of the socket at an address that a living process of these runs has.

    None where none of them has it; PermissionError where the kernel does not let us.
    """
    denied: PermissionError | None = None
    for members in tree.survey(runs).values():
        for process in sorted(members, key=lambda one: (one.born, one.pid)):
            try:
                found = _of_process(process, address)
            except PermissionError as error:
                denied = PermissionError(error.errno, f"process {process.pid} keeps it")
                continue
            if found is not None:
                return found
    if denied is not None:
        raise denied
    return None


def _of_process(process: tree.Process, address: str) -> socket.socket | None:
    pidfd = tree.pin(process.pid, process.born)
    if pidfd is None:
        return None
    try:
        for number in _sockets_of(process.pid):
            sock = _duplicate(pidfd, number)
            if sock is None:
                continue
            if binding.is_at(sock, address):
                return sock
            sock.close()
    finally:
        os.close(pidfd)
    return None


def _sockets_of(pid: int) -> Iterator[int]:
    """Yield the descriptors of a process that are sockets, those first that we may have passed."""
    folder = f"/proc/{pid}/fd"
    try:
        numbers = sorted(int(name) for name in os.listdir(folder))
    except FileNotFoundError:
        return
    for number in sorted(numbers[:FDS_LOOKED_AT], key=lambda one: one < FIRST):
        try:
            if os.readlink(f"{folder}/{number}").startswith("socket:"):
                yield number
        except FileNotFoundError:
            continue


def _duplicate(pidfd: int, number: int) -> socket.socket | None:
    failpoint("holder.regain.before")
    fd = _libc.syscall(ctypes.c_long(PIDFD_GETFD), ctypes.c_int(pidfd), ctypes.c_int(number), 0)
    if fd >= 0:
        failpoint("holder.regain.taken")
        return socket.socket(fileno=fd)
    number = ctypes.get_errno()
    if number in (errno.EPERM, errno.ENOSYS):
        raise PermissionError(number, os.strerror(number))
    return None
