"""Open what a service reads and writes: its log files, and the file that it gets as its input."""

from __future__ import annotations

import errno
import os
import stat

# A FIFO must not make us wait for its other end.
COMMON = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
APPEND = COMMON | os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def open_log(path: str) -> int:
    """Open a file to add to, and make its folder; whatever else is at its path is refused."""
    try:
        fd = os.open(path, APPEND, 0o640)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), 0o750, exist_ok=True)
        fd = os.open(path, APPEND, 0o640)
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no regular file")
    os.set_blocking(fd, True)
    return fd


def open_log_for(path: str, uid: int, gid: int) -> int:
    """Open a file to add to, and make it the user's own, who may then open /dev/stdout anew.

    To be used only where nobody but us can put anything at the path. No right to the folder is
    needed or given: the kernel leads from /dev/stdout straight to the file.
    """
    fd = open_log(path)
    try:
        _give(fd, uid, gid)
    except OSError:
        os.close(fd)
        raise
    return fd


def _give(fd: int, uid: int, gid: int) -> None:
    found = os.fstat(fd)
    if os.geteuid() != 0:
        # To give it away is a right of root's, as is to become the user.
        return
    if not stat.S_ISREG(found.st_mode) or (found.st_uid, found.st_gid) == (uid, gid):
        return
    if found.st_nlink != 1:
        raise OSError(errno.EMLINK, "it has several names, so it stays whose it is")
    os.fchown(fd, uid, gid)


def open_input(path: str) -> int:
    """Open a file to read from."""
    fd = os.open(path, COMMON | os.O_RDONLY)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    os.set_blocking(fd, True)
    return fd


def is_ours_alone(path: str, root: str) -> bool:
    """Tell whether only we, or root, decide what is at a path.

    Every folder on the way counts, from the repository `root` on for what is beneath it: whoever
    owns that says what runs anyway. One that is not there yet will be ours.
    """
    folder = os.path.dirname(os.path.abspath(path))
    at, is_safe = "/", True
    if f"{folder}/".startswith(f"{root.rstrip('/')}/"):
        at = root
    for name in [name for name in folder[len(at) :].split("/") if name]:
        at = os.path.join(at, name)
        try:
            found = os.lstat(at)
        except FileNotFoundError:
            return is_safe
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (0, os.geteuid()):
            return False
        # In one like /tmp nobody can replace our folder, and anybody can be there before us.
        is_safe = not found.st_mode & OTHERS_MAY_WRITE
        if not is_safe and not found.st_mode & stat.S_ISVTX:
            return False
    return is_safe
