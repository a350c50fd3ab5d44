"""Make, lock, read and remove control groups, which are folders."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re

from reconciler.failpoints import failpoint

OF_A_HOLDER = re.compile(r"(weaver-\d+-\d+)(\.holder)?")
"""What the folder of a holder's leaves is called, and the one that it may have moved to itself."""


def make(group: str) -> None:
    """Make a group unless it is there."""
    with contextlib.suppress(FileExistsError):
        failpoint("holder.cgroup.before")
        os.mkdir(group, 0o755)
        failpoint("holder.cgroup.made")


def make_and_lock(group: str) -> int:
    """Make a group that no other holder takes for a dead one's while the lock is open."""
    while True:
        make(group)
        fd = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with contextlib.suppress(FileNotFoundError):
            fcntl.flock(fd, fcntl.LOCK_SH)
            if os.path.samestat(os.stat(group), os.fstat(fd)):
                return fd
        os.close(fd)


def clear_dead(own: str, ours: str) -> None:
    """Remove what dead holders of other names than `ours` made in a group and left empty."""
    for group in children(own):
        name = OF_A_HOLDER.fullmatch(os.path.basename(group))
        if name is not None and name[1] != ours:
            _clear(os.path.join(own, name[1]), group)


def _clear(base: str, group: str) -> None:
    """Remove a group of the holder that made the group `base`, if that one is dead."""
    try:
        fd = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        remove(group)
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(group)
    except OSError:
        return
    finally:
        os.close(fd)


def remove(group: str) -> bool:
    """Remove a group with the empty ones beneath it; False: something lives there."""
    for beneath in (*groups_in(group), group):
        try:
            failpoint("holder.cgroup.remove")
            os.rmdir(beneath)
            failpoint("holder.cgroup.removed")
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def groups_in(group: str) -> list[str]:
    """Give the groups beneath one, the deepest first."""
    found: list[str] = []
    for child in children(group):
        found += [*groups_in(child), child]
    return found


def children(group: str) -> list[str]:
    """Give the groups right beneath one; none where they cannot be seen."""
    try:
        with os.scandir(group) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def words_of(path: str) -> list[str]:
    """Read the words of a file."""
    with open(path, encoding="utf-8") as file:
        return file.read().split()


def write(path: str, text: str) -> None:
    """Write to a file of a group. Raises OSError, which names it."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)
