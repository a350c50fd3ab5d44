"""A log as one run of bytes: rotated files, then the live one, whatever becomes of both.

Offsets count the bytes ever written to the log. What is on disk decides what is known after a
crash: finding it out here only reads, and `rotate.py` brings the rest of it in order.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from reconciler.adapters.logs import archives, fallocate
from reconciler.adapters.logs.archives import Archive, OpenArchive
from reconciler.adapters.logs.plain_files import opened
from reconciler.adapters.logs.record import Record, read_record

PATIENCE_S = 0.05
"""How long one who must not wait does wait for a collapse to be over."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Which log, and what is there of it."""

    stream: str
    start: int
    """The first offset that can be read; looked at without opening it: that of the live file."""
    end: int
    changed: float = 0.0
    """Wall clock of the last write."""
    file: tuple[int, int] = (0, 0)
    """Device and inode of the live file."""
    shift: int = 0
    """Where that file's first byte stands."""

    @classmethod
    def of(cls, record: Record, changed: float, start: int | None = None) -> Extent:
        """Give the extent of a live file, from `start` on if there is more."""
        return cls(
            stream=record.stream,
            start=record.start if start is None else start,
            end=record.end,
            changed=changed,
            file=(record.device, record.inode),
            shift=record.shift,
        )


class Stream:
    """One log. Readers and the rotation share it: a reader never sees half of a rotation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.record: Record | None = None
        """None until the file was seen for the first time."""
        self.archives: list[Archive] = []
        self.is_settled = True
        """Whether the live file and its record are as they should be."""
        self.cuts = 0
        """How often somebody else cut the live file short."""

    # --- what is there -----------------------------------------------------------------------

    def extent(self) -> Extent | None:
        """Give what is there of the log; None where there is no live file. Never waits for long."""
        may = self.lock.acquire(timeout=PATIENCE_S)
        try:
            found = os.stat(self.path, follow_symlinks=False)  # noqa: PTH116 (every few seconds)
            if not stat.S_ISREG(found.st_mode):
                return None
            # While its bytes move, its size means nothing; how much there was before does.
            record = self.meet(found) if may or self.record is None else self.record
            return Extent.of(record, found.st_mtime)
        except OSError:
            if may and self.record is not None:
                # Whatever gets its name is another file, though it may get its inode.
                self.record = msgspec.structs.replace(self.record, inode=0)
            return None
        finally:
            if may:
                self.lock.release()

    def meet(self, found: os.stat_result) -> Record:
        """Take note of how the live file was found; call with the lock."""
        record = self.record
        if record is None:
            record = self._first_sight(found)
        elif (found.st_dev, found.st_ino) != (record.device, record.inode):
            record = _successor(record, found)
            self.is_settled = False
        elif found.st_size < record.seen:
            self.cuts += 1
            record = msgspec.structs.replace(record, shift=record.end, head=0, is_collapsing=False)
            self.is_settled = False
        if record.seen != found.st_size:
            record = msgspec.structs.replace(record, seen=found.st_size)
        self.record = record
        return record

    def _first_sight(self, found: os.stat_result) -> Record:
        record = read_record(self.path)
        self.archives = archives.listed(self.path)
        fresh = Record(
            stream=f"{found.st_dev} {found.st_ino}", device=found.st_dev, inode=found.st_ino
        )
        if record is None and not self.archives:
            return fresh
        self.is_settled = False
        with suppress(OSError), opened(self.path) as fd:
            if record is None:
                return _without_record(fresh, self.archives, fd)
            if (record.device, record.inode) != (found.st_dev, found.st_ino):
                end = max(record.end, self.archives[-1].end if self.archives else 0)
                return _successor(msgspec.structs.replace(record, seen=end - record.shift), found)
            return self._recovered(record, fd)
        return record or fresh

    def _recovered(self, record: Record, fd: int) -> Record:
        """Find out how far the last rotation came; see docs/decisions/log-rotation.md."""
        size = os.fstat(fd).st_size
        if record.truncating:
            return self._after_truncation(record, fd)
        is_collapsed = record.is_collapsing and fallocate.first_data(fd, 0) == 0
        if size < record.head or is_collapsed:
            record = msgspec.structs.replace(record, shift=record.start, head=0)
        record = msgspec.structs.replace(record, is_collapsing=False, seen=size)
        last = self.archives[-1] if self.archives else None
        if last is not None and last.start == record.start and last.end - record.shift <= size:
            # It is whole, since it has its name; what it holds was to be taken off the front.
            record = msgspec.structs.replace(record, head=last.end - record.shift)
        head = fallocate.first_data(fd, record.head) if record.head < size else record.head
        return msgspec.structs.replace(record, head=head)

    def _after_truncation(self, record: Record, fd: int) -> Record:
        """Tell by the content whether the file was emptied: there is no other trace of it."""
        record = msgspec.structs.replace(record, truncating=0)
        last = self.archives[-1] if self.archives else None
        if last is None or last.start != record.start:
            return record
        if not _begins_with(fd, record.head, last):
            return msgspec.structs.replace(record, shift=last.end, head=0)
        self.archives.remove(last)  # the live file has it all
        last.remove()
        return record

    def unpacked(self) -> list[Archive]:
        """Give the rotated files that are not compressed."""
        return [archive for archive in self.archives if not archive.is_packed]

    def note_packed(self, archive: Archive) -> None:
        """Take note that a rotated file is compressed by now."""
        with self.lock:
            packed = Archive(archive.log, archive.start, archive.end, is_packed=True)
            self.archives = [packed if one == archive else one for one in self.archives]

    # --- reading -----------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Open it for one read. Raises OSError where there is nothing, or no plain file."""
        reading = Reading(self)
        try:
            reading.open()
            yield reading
        finally:
            reading.close()


class Reading:
    """A log that is open: its bytes by their offsets, while it is rotated as at any time."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._fd = -1
        self._inode = 0
        self._open: dict[int, OpenArchive] = {}
        self.extent = Extent("", 0, 0)

    def open(self) -> None:
        """Open the live file, and see what is there; rotated files alone will do."""
        stream = self._stream
        try:
            with opened(stream.path) as fd:
                self._fd = os.dup(fd)
        except FileNotFoundError:
            if not stream.archives:
                raise
            end = stream.archives[-1].end
            self.extent = Extent("", _first_of_run(stream.archives, end), end)
            return
        with stream.lock:
            found = os.fstat(self._fd)
            self._inode = found.st_ino
            record = stream.meet(found)
            start = _first_of_run(stream.archives, record.start)
            self.extent = Extent.of(record, found.st_mtime, start)

    def close(self) -> None:
        """Close all files."""
        for archive in self._open.values():
            archive.close()
        if self._fd >= 0:
            os.close(self._fd)

    @property
    def start(self) -> int:
        """Give the first offset that can be read."""
        return self.extent.start

    @property
    def end(self) -> int:
        """Give the offset behind the last byte, as of the opening."""
        return self.extent.end

    def read(self, size: int, offset: int) -> bytes:
        """Give `size` bytes from an offset on: fewer at the end, or where some are gone."""
        parts: list[bytes] = []
        left = size
        while left and (part := self._part(left, offset + size - left)):
            parts.append(part)
            left -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _part(self, size: int, offset: int) -> bytes:
        stream = self._stream
        with stream.lock:
            record = stream.record
            is_live = record is not None and record.inode == self._inode and self._fd >= 0
            if is_live and record is not None and offset >= record.start:
                return os.pread(self._fd, size, offset - record.shift)
            known = stream.archives[:]
        archive = next((one for one in known if one.start <= offset < one.end), None)
        return self._archived(archive, size, offset) if archive is not None else b""

    def _archived(self, archive: Archive, size: int, offset: int) -> bytes:
        try:
            if archive.start not in self._open:
                self._open[archive.start] = OpenArchive(archive)
        except FileNotFoundError:
            return b""  # removed between two looks
        return self._open[archive.start].read(min(size, archive.end - offset), offset)


class Streams:
    """All logs that were asked for, each once."""

    def __init__(self) -> None:
        self._known: dict[str, Stream] = {}

    def of(self, path: str) -> Stream:
        """Give the stream of a path."""
        found = self._known.get(path)
        if found is None:
            found = self._known.setdefault(path, Stream(Path(path)))
        return found

    def __iter__(self) -> Iterator[Stream]:
        return iter(list(self._known.values()))


def _successor(record: Record, found: os.stat_result) -> Record:
    """Give the record of a new file under the log's name: it goes on where the old one ended."""
    return Record(
        stream=record.stream,
        device=found.st_dev,
        inode=found.st_ino,
        shift=record.end,
        rotated_at=record.rotated_at,
    )


def _without_record(fresh: Record, known: Sequence[Archive], fd: int) -> Record:
    """Give the record of a log that has lost its own, as far as the files tell."""
    last, size = known[-1], os.fstat(fd).st_size
    head = min(fallocate.first_data(fd, 0), size)
    if not head and _begins_with(fd, 0, last):
        head = last.end - last.start
    stream = f"{fresh.stream} {last.start}"
    return msgspec.structs.replace(
        fresh, stream=stream, shift=max(0, last.end - head), head=head, seen=size
    )


def _begins_with(fd: int, head: int, archive: Archive) -> bool:
    """Tell whether a file has, from `head` on, the very bytes of a rotated one."""
    try:
        other = OpenArchive(archive)
    except OSError:
        return False
    try:
        at = archive.start
        while at < archive.end:
            part = other.read(min(1 << 20, archive.end - at), at)
            if not part or os.pread(fd, len(part), head + at - archive.start) != part:
                return False
            at += len(part)
    finally:
        other.close()
    return True


def _first_of_run(known: Sequence[Archive], start: int) -> int:
    """Give where the rotated files begin that lead up to an offset without a gap."""
    for archive in reversed(known):
        if archive.end < start:
            break
        start = min(start, archive.start)
    return start
