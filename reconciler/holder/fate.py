"""Learn how a process ended that need not be our child, where the kernel tells.

While it is not reaped, /proc/PID/stat has its exit code (field 52); afterwards the kernel, from
6.15 on, keeps it for whoever opened a pidfd before. On an older one nobody knows it then.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct

from reconciler.failpoints import failpoint
from reconciler.holder.tree import find, pin

__all__ = ["Ending", "ending", "pin", "sentence"]

PIDFD_GET_INFO = 0xC040FF0B
PIDFD_INFO_EXIT = 1 << 3
INFO = struct.Struct("=Q52xi")
"""`struct pidfd_info` as of its first version: the mask comes first, the exit code last."""
CORE = 0x80
EXIT_CODE_FIELD = 49
"""Of /proc/PID/stat, counted from the state, which follows the name."""


class Ending:
    """How a process ended: by a code of its own, or killed by a signal."""

    __slots__ = ("code", "core", "signal")

    def __init__(self, word: int) -> None:
        number = word & 0x7F
        self.code = None if number else word >> 8 & 0xFF
        self.signal = number or None
        self.core = bool(word & CORE)


def ending(pidfd: int | None, pid: int, born: int) -> Ending | None:
    """Give how a process ended; None while it lives, and where nobody can say."""
    word = _kept(pidfd)
    if word is None:
        word = _unreaped(pid, born)
    if word is None:
        # It may have been reaped between the two questions.
        word = _kept(pidfd)
    return None if word is None else Ending(word)


def verdict(end: Ending | None) -> dict[str, object]:
    """Give an end as it is written down and told; None where nobody can say how."""
    return {
        "code": None if end is None else end.code,
        "signal": None if end is None else end.signal,
        "core": end is not None and end.core,
        "unknown": end is None,
    }


def waitable() -> os.waitid_result | None:
    """Give a child of ours that has exited, and leave it there to be collected."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None


def collect(pid: int) -> None:
    """Let go of a child that has exited and is on record."""
    failpoint("holder.reap.before")
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
    failpoint("holder.reap.collected")


def collected(status: os.waitid_result) -> Ending:
    """Give how a child of ours ended."""
    if status.si_code == os.CLD_EXITED:
        return Ending(status.si_status << 8)
    return Ending(status.si_status | CORE * (status.si_code == os.CLD_DUMPED))


def sentence(end: Ending | None) -> str:
    """Say how a process ended.

    >>> sentence(Ending(9)), sentence(Ending(256)), sentence(None)
    ('was killed by SIGKILL', 'exited with 1', 'ended, and nobody saw how')
    """
    if end is None:
        return "ended, and nobody saw how"
    if end.signal is not None:
        known = end.signal in signal.Signals.__members__.values()
        name = signal.Signals(end.signal).name if known else f"signal {end.signal}"
        return f"was killed by {name}{' (core dumped)' if end.core else ''}"
    return f"exited with {end.code}"


def _kept(pidfd: int | None) -> int | None:
    """Ask the pidfd: the kernel answers once the process is reaped."""
    if pidfd is None:
        return None
    asked = bytearray(INFO.pack(PIDFD_INFO_EXIT, 0))
    try:
        fcntl.ioctl(pidfd, PIDFD_GET_INFO, asked)
    except OSError:
        # An older kernel does not know the question, and one in between not this part of it.
        return None
    mask, word = INFO.unpack(asked)
    return word if mask & PIDFD_INFO_EXIT else None


def _unreaped(pid: int, born: int) -> int | None:
    """Read /proc, which shows the code of one that is dead and was not reaped yet."""
    process = find(pid)
    if process is None or process.born != born or not process.is_dead:
        return None
    with contextlib.suppress(OSError, IndexError, ValueError):
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
        word = int(stat[stat.rindex(b")") + 2 :].split()[EXIT_CODE_FIELD])
        # To those who may not look into it, the kernel shows 0; the link is under the same rule.
        if word or os.readlink(f"/proc/{pid}/ns/user"):
            return word
    return None
