"""Rotated files beside a log: `web.log.000000010485760`, compressed with `.gz` behind it.

The number is where its first byte stands in all that was ever written to the log, so a list of
them says by itself what they hold, `zcat -f web.log.0* web.log` is everything in order, and no
file is ever renamed again.
"""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from reconciler.adapters.logs import gzip_child
from reconciler.adapters.logs.gzip_child import HEAD
from reconciler.adapters.logs.plain_files import FLAGS

DIGITS = 15


@dataclass(frozen=True, slots=True)
class Archive:
    """One rotated file: the bytes from `start` on, whether compressed by now or not."""

    log: Path
    start: int
    end: int
    is_packed: bool = False

    @property
    def path(self) -> Path:
        """Give its path while it is not compressed."""
        return self.log.with_name(f"{self.log.name}.{self.start:0{DIGITS}}")

    @property
    def packed(self) -> Path:
        """Give its path once it is compressed."""
        return self.log.with_name(f"{self.path.name}.gz")

    @property
    def part(self) -> Path:
        """Give its path while it is being written."""
        return self.log.with_name(f".{self.path.name}.part")

    @property
    def packed_part(self) -> Path:
        """Give its path while it is being compressed."""
        return self.log.with_name(f".{self.packed.name}.part")

    def remove(self) -> int:
        """Delete it; give how many bytes that freed."""
        freed = 0
        for path in (self.path, self.packed):
            try:
                size = path.lstat().st_blocks * 512
                path.unlink()
                freed += size
            except FileNotFoundError:
                continue
        return freed


def listed(log: Path) -> list[Archive]:
    """Give a log's rotated files, the oldest first; leaves out what is no such file.

    They may be compressed at this moment, and go by another name. A folder too large to be read
    at once can hide one then, so where one seems to be missing it is read again.
    """
    found = _looked_up(log)
    if any(one.end < other.start for one, other in pairwise(found)):
        return _looked_up(log)
    return found


def _looked_up(log: Path) -> list[Archive]:
    try:
        names = os.listdir(log.parent)  # noqa: PTH208 (of names alone)
    except OSError:
        return []
    mine = re.compile(rf"{re.escape(log.name)}\.([0-9]{{{DIGITS}}})(\.gz)?")
    starts = {int(match[1]) for name in names if (match := mine.fullmatch(name))}
    every = (_measured(log, start) for start in sorted(starts))
    return [archive for archive in every if archive.end > archive.start]


def _measured(log: Path, start: int) -> Archive:
    """Look at the plain file, which is whole, before its `.gz`: the one goes as the other comes."""
    archive = Archive(log, start, start)
    if size := _content_size(archive.path, is_packed=False):
        return replace(archive, end=start + size)
    size = _content_size(archive.packed, is_packed=True)
    return replace(archive, end=start + size, is_packed=True)


def leftovers(log: Path) -> list[Path]:
    """Give what was being written when a daemon was killed, and nobody will go on with."""
    try:
        names = os.listdir(log.parent)  # noqa: PTH208 (of names alone)
    except OSError:
        return []
    mine = re.compile(rf"\.{re.escape(log.name)}\.([0-9]{{{DIGITS}}}(\.gz)?\.part|rotation\.new)")
    return [log.with_name(name) for name in names if mine.fullmatch(name)]


def _content_size(path: Path, *, is_packed: bool) -> int:
    """Give how many bytes of log a rotated file holds; 0 where it cannot be read."""
    try:
        fd = os.open(path, FLAGS)
    except OSError:
        return 0
    try:
        if not is_packed:
            return os.fstat(fd).st_size
        table = members(fd)
        return table[-1].start + table[-1].size if table else 0
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True)
class Member:
    """One block of a compressed file: where its content begins, how long that is, where it is."""

    start: int
    size: int
    at: int
    length: int


def members(fd: int) -> list[Member]:
    """Hop through a compressed file; ends at what is none of our members."""
    found: list[Member] = []
    at = start = 0
    while (sizes := gzip_child.lengths(os.pread(fd, HEAD.size, at))) is not None:
        length, size = sizes
        found.append(Member(start, size, at, length))
        at, start = at + length, start + size
    return found


class OpenArchive:
    """A rotated file that is open, read by where its bytes stand in the log."""

    def __init__(self, archive: Archive) -> None:
        self._start = archive.start
        self._members: list[Member] = []
        try:
            self._fd = os.open(archive.path, FLAGS)
        except FileNotFoundError:
            self._fd = os.open(archive.packed, FLAGS)
            self._members = members(self._fd)
        self._block = lru_cache(maxsize=2)(self._unpacked)

    def read(self, size: int, offset: int) -> bytes:
        """Give at most `size` bytes from an offset of the log on; empty behind its end."""
        at = offset - self._start
        if not self._members:
            return os.pread(self._fd, size, at)
        place = next((n for n, one in enumerate(self._members) if at < one.start + one.size), None)
        if place is None:
            return b""
        skip = at - self._members[place].start
        return self._block(place)[skip : skip + size]

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _unpacked(self, place: int) -> bytes:
        one = self._members[place]
        try:
            return gzip_child.content(os.pread(self._fd, one.length, one.at))
        except zlib.error as why:
            raise OSError(0, f"a compressed block is damaged: {why}") from why
