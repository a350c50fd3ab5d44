"""Take bytes off the front of a file that somebody else appends to."""

from __future__ import annotations

import errno
import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes

_KEEP_SIZE, _PUNCH_HOLE, _COLLAPSE_RANGE = 1, 2, 8
NOT_HERE = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.ETXTBSY})
"""What file systems answer that cannot do it."""


def punch(fd: int, size: int, offset: int = 0) -> bool:
    """Give the room of `size` bytes back; they read as zeros, offsets stay."""
    return _fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, offset, size)


def can_punch(fd: int) -> bool:
    """Tell whether the file system knows holes: one far beyond the end changes nothing."""
    return _fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, 1 << 40, 1 << 16)


def collapse(fd: int, size: int) -> bool:
    """Remove the first `size` bytes, whole blocks, at once: what follows moves to the front."""
    return _fallocate(fd, _COLLAPSE_RANGE, 0, size)


def first_data(fd: int, offset: int) -> int:
    """Give where something is stored, from an offset on: itself, where holes are not known."""
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as why:
        return max(offset, os.fstat(fd).st_size) if why.errno == errno.ENXIO else offset


def _fallocate(fd: int, mode: int, offset: int, size: int) -> bool:
    """Tell whether it was done; False where the file system cannot. Raises OSError."""
    libc = _libc()
    while libc.fallocate(fd, mode, offset, size) != 0:
        import ctypes  # a daemon that never rotates has no use for it

        number = ctypes.get_errno()
        if number == errno.EINTR:
            continue
        if number in NOT_HERE:
            return False
        raise OSError(number, os.strerror(number))
    return True


@cache
def _libc() -> ctypes.CDLL:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return libc
