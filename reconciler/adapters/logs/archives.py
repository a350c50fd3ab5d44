"""Rotated files beside a log: `web.log.000000010485760`, compressed with `.gz` behind it.

The number is where its first byte stands in all that was ever written to the log, so a list of
them says by itself what they hold, `zcat -f web.log.0* web.log` is everything in order, and no
file is ever renamed again.
"""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from reconciler.adapters.logs import gzip_child
from reconciler.adapters.logs.gzip_child import HEAD
from reconciler.adapters.logs.plain_files import FLAGS

DIGITS = 15
_NUMBER = re.compile(r"[0-9]{15}")


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
    """Give a log's rotated files, the oldest first; leaves out what is no such file."""
    found: dict[int, Archive] = {}
    prefix = f"{log.name}."
    try:
        with os.scandir(log.parent) as entries:
            names = [(entry.name, entry) for entry in entries if entry.name.startswith(prefix)]
            for name, entry in sorted(names):  # a plain one, which is whole, before its `.gz`
                number, _, kind = name.removeprefix(prefix).partition(".")
                if not _NUMBER.fullmatch(number) or kind not in ("", "gz"):
                    continue
                size = _content_size(Path(entry.path), is_packed=bool(kind))
                start = int(number)
                if size and start not in found:
                    found[start] = Archive(log, start, start + size, bool(kind))
    except OSError:
        return []
    return [found[start] for start in sorted(found)]


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
