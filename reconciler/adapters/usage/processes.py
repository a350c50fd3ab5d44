"""All processes of the host at one moment, and which of them belong to a service's tree."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

PROC = "/proc"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

STAT_MAX = 4096


@dataclass(frozen=True, slots=True)
class Sighting:
    """One process as /proc/PID/stat shows it."""

    pid: int
    parent: int
    group: int
    session: int
    ticks: int
    """CPU time so far, with that of children it has waited for."""
    born: int
    rss: int


class Census:
    """Every process, once; trees are found in it without asking the kernel again."""

    def __init__(self, sightings: Iterable[Sighting]) -> None:
        self._by_pid = {sighting.pid: sighting for sighting in sightings}
        self._children: dict[int, list[int]] = defaultdict(list)
        self._members: dict[int, list[int]] = defaultdict(list)
        for sighting in self._by_pid.values():
            self._children[sighting.parent].append(sighting.pid)
            for leader in {sighting.session, sighting.group}:
                self._members[leader].append(sighting.pid)

    def tree(self, pid: int, born: int) -> list[Sighting]:
        """Give a process, its session, its group and all their descendants; [] if it is gone."""
        root = self._by_pid.get(pid)
        if root is None or root.born != born:
            return []
        found: dict[int, Sighting] = {}
        waiting = [pid, *self._members[pid]]
        while waiting:
            each = waiting.pop()
            if each not in found:
                found[each] = self._by_pid[each]
                waiting += self._children[each]
        return list(found.values())


def take_census() -> Census:
    """Look at all processes."""
    return Census(_sightings())


def read_stat(text: bytes) -> Sighting:
    """Read a line of /proc/PID/stat; the name in it may hold anything, brackets included.

    >>> line = b"7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 5 3 2 1 20 0 1 0 900 0 10 0"
    >>> found = read_stat(line)
    >>> found.pid, found.parent, found.session, found.ticks, found.born
    (7, 1, 7, 11, 900)
    """
    head, _, tail = text.rpartition(b")")
    fields = tail.split()
    return Sighting(
        pid=int(head.split(b" ", 1)[0]),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        ticks=sum(map(int, fields[11:15])),
        born=int(fields[19]),
        rss=int(fields[21]) * PAGE_BYTES,
    )


def _sightings() -> Iterator[Sighting]:
    for name in os.listdir(PROC):  # noqa: PTH208 (a thousand names, several times a minute)
        if name[0] in "123456789":
            text = _read(f"{PROC}/{name}/stat")
            if text:
                yield read_stat(text)


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, STAT_MAX)
    except OSError:
        return b""
    finally:
        os.close(fd)


def descriptors(pid: int) -> int:
    """Count a process's open files; 0 where that may not be seen."""
    try:
        # The kernel gives the number as the folder's size since 6.2; before, it is 0.
        folder = f"{PROC}/{pid}/fd"
        return os.stat(folder).st_size or len(os.listdir(folder))  # noqa: PTH116, PTH208 - hot
    except OSError:
        return 0


def shared_memory(pid: int) -> tuple[int, int] | None:
    """Give a process's proportional and swapped memory in bytes. The kernel walks its pages."""
    import psutil

    try:
        found = psutil.Process(pid).memory_full_info()
    except (psutil.Error, OSError):
        return None
    return found.pss, found.swap
