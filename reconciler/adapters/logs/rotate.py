"""Cut a log: what is there goes into a rotated file, while the service writes on.

The steps, each of which may be the last one before the daemon is killed:

1. whole blocks from the front are copied to a file that has no name yet, and brought to disk
2. that gets its name, which says where its bytes stand in the log: from now on they are *there*
3. the front of the live file becomes a hole; that is brought to disk, and into the record
4. the hole is collapsed, which is the one step that cannot be done twice; then the record again

Where nothing can be collapsed it stays a hole; where there are no holes the file is emptied, and
what came in between is lost. docs/decisions/log-rotation.md says why no kill loses or doubles.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from stat import S_IMODE, S_ISREG

from msgspec.structs import replace

from reconciler.adapters.logs import fallocate
from reconciler.adapters.logs.archives import Archive
from reconciler.adapters.logs.record import Record, sync_folder, write_record
from reconciler.adapters.logs.stream import Stream
from reconciler.failpoints import failpoint

CHUNK = 1 << 20
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class ChangedError(Exception):
    """The live file is another one by now, or was cut short: whatever was to be done is off."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What one cut did."""

    archived: int
    lost_at_most: int = 0
    """Bytes that may have been lost, for want of a way to keep them."""


@contextmanager
def live_file(stream: Stream) -> Iterator[int]:
    """Open the live file to be cut, with what was left to do done. Raises OSError, ChangedError."""
    fd = os.open(stream.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(fd)
        if not S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no plain file")
        with stream.lock:
            stream.meet(found)
        if not stream.is_settled:
            _settle(stream, fd)
        yield fd
    finally:
        os.close(fd)


def cut(stream: Stream, fd: int, size: int, now: float) -> Cut:
    """Move at most `size` bytes from the front into a rotated file."""
    record = _known(stream)
    block = _block_size(fd)
    # At least a byte stays: nothing can be collapsed up to the end of a file.
    end = min(record.head + size, record.seen - 1) // block * block
    if end <= record.head:
        return Cut(0)
    failpoint("rotate.begin")
    archive = Archive(stream.path, record.start, record.shift + end)
    began = time.monotonic()
    _copied(stream, fd, record.head, archive)
    try:
        if not fallocate.can_punch(fd):
            pace = _Pace(began, record.seen)
            return _copy_and_truncate(stream, fd, archive, pace, now)
        _advance(stream, record, archive, head=end, rotated_at=now)
    except BaseException:
        if archive not in stream.archives:  # what it holds is in the live file still
            archive.remove()
        raise
    _release_front(stream, fd)
    return Cut(end - record.head)


def drop(stream: Stream, fd: int, size: int) -> int:
    """Take whole blocks off the front, and keep them nowhere; give how many bytes that was."""
    record = _known(stream)
    block = _block_size(fd)
    head = min(record.head + size, record.seen - 1) // block * block
    if head <= record.head:
        return 0
    if not fallocate.can_punch(fd):
        with stream.lock:
            known, size = _known(stream), os.fstat(fd).st_size
            os.ftruncate(fd, 0)
            stream.record = replace(known, shift=known.shift + size, head=0, seen=0)
        _write(stream)
        return size
    _advance(stream, record, None, head=head)
    _release_front(stream, fd)
    return head - record.head


def begin_interval(stream: Stream, now: float) -> None:
    """Count the time to the next rotation from now on. Raises OSError."""
    _write(stream, rotated_at=now)


def write_down(stream: Stream) -> None:
    """Bring what is known of a log to disk. Raises OSError."""
    _write(stream)


def _settle(stream: Stream, fd: int) -> None:
    """Do what is left of the last rotation, and write down what is known."""
    record = _known(stream)
    last = stream.archives[-1] if stream.archives else None
    if record.head and not fallocate.can_punch(fd):
        # A copy that got its name where files can only be emptied: the live file has it all.
        if last is not None and last.end == record.start:
            with stream.lock:
                stream.archives.remove(last)
                stream.record = replace(_known(stream), head=0)
            last.remove()
        _write(stream)
    elif record.head:
        _release_front(stream, fd)
    else:
        _write(stream)


def _block_size(fd: int) -> int:
    """Give in what units the file system takes bytes off the front of a file."""
    return max(4096, os.fstatvfs(fd).f_bsize)


# --- what is known ---------------------------------------------------------------------------


def _known(stream: Stream) -> Record:
    if stream.record is None:
        raise ChangedError
    return stream.record


def _advance(
    stream: Stream, before: Record, archive: Archive | None, *, head: int, **changes: float
) -> None:
    """Let readers find the front in its rotated file, unless the live file was exchanged."""
    with stream.lock:
        record = _known(stream)
        if (record.inode, record.start, record.head) != (before.inode, before.start, before.head):
            raise ChangedError
        if archive is not None:
            stream.archives.append(archive)
        stream.record = replace(record, head=head, **changes)


def _write(stream: Stream, **changes: float) -> None:
    """Write down what is known; until that is done, nothing more may be taken off the front."""
    stream.is_settled = False
    with stream.lock:
        record = stream.record = replace(_known(stream), **changes)
    write_record(stream.path, record)
    with stream.lock:
        now = _known(stream)
        is_same = (now.inode, now.shift, now.head) == (record.inode, record.shift, record.head)
        stream.is_settled = is_same and not record.is_collapsing and not record.truncating


# --- copying ---------------------------------------------------------------------------------


def _copied(stream: Stream, fd: int, head: int, archive: Archive) -> None:
    """Write a rotated file, and give it its name when all of it is on disk."""
    found = os.fstat(fd)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with suppress(FileNotFoundError):
        archive.part.unlink()  # of a rotation that was cut short
    out = os.open(archive.part, flags, 0o600)
    try:
        with suppress(PermissionError):
            os.fchown(out, found.st_uid, found.st_gid)
        os.fchmod(out, S_IMODE(found.st_mode) & 0o666)
        _copy(fd, out, head, archive.end - archive.start)
        failpoint("rotate.copied")
        os.fsync(out)
        archive.part.replace(archive.path)
    except BaseException:
        with suppress(OSError):
            archive.part.unlink()
        raise
    finally:
        os.close(out)
    failpoint("rotate.named")
    sync_folder(stream.path.parent)


def _copy(fd: int, out: int, offset: int, size: int) -> None:
    left = size
    while left:
        done = os.sendfile(out, fd, offset + size - left, min(CHUNK, left))
        if not done:
            raise ChangedError
        left -= done


# --- taking off the front --------------------------------------------------------------------


def _release_front(stream: Stream, fd: int) -> None:
    """Give the room of what is in rotated files back, as one step after the other."""
    head = _known(stream).head
    if not fallocate.punch(fd, head):
        raise OSError(errno.EOPNOTSUPP, "the file system knows no holes")
    failpoint("rotate.punched")
    os.fsync(fd)
    failpoint("rotate.synced")
    may_collapse = fallocate.first_data(fd, 0) >= head and head % _block_size(fd) == 0
    _write(stream, is_collapsing=may_collapse)
    failpoint("rotate.recorded")
    if may_collapse and _collapse(stream, fd):
        failpoint("rotate.collapsed")
        os.fsync(fd)
        failpoint("rotate.collapse-synced")
    if may_collapse:
        _write(stream, is_collapsing=False)
    failpoint("rotate.settled")


def _collapse(stream: Stream, fd: int) -> bool:
    """Move the live file's bytes to its front; offsets in the log stay what they were."""
    with stream.lock:
        record = _known(stream)
        found = os.fstat(fd)
        if not record.is_collapsing or found.st_ino != record.inode:
            raise ChangedError
        if found.st_size <= record.head or not fallocate.collapse(fd, record.head):
            return False
        size = os.fstat(fd).st_size
        stream.record = replace(record, shift=record.start, head=0, seen=size)
        return True


# --- the last resort -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pace:
    """How fast a log grows, as seen while it was copied."""

    began: float
    size: int

    def bytes_in(self, seconds: float, size: int, now: float) -> int:
        """Estimate how much comes in a time."""
        rate = max(0, size - self.size) / max(now - self.began, 1e-6)
        return int(rate * seconds) + 1 if rate else 0


def _copy_and_truncate(stream: Stream, fd: int, archive: Archive, pace: _Pace, now: float) -> Cut:
    """Copy what came meanwhile, too, and empty the live file at once."""
    before = _known(stream)
    out = os.open(archive.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.lseek(out, 0, os.SEEK_END)
        copied, _ = _catch_up(fd, out, archive.end - before.shift)
        os.fsync(out)
        _write(stream, truncating=copied - before.head)
        failpoint("rotate.truncating")
        with stream.lock:
            record = _known(stream)
            if (record.inode, record.start) != (before.inode, before.start):
                raise ChangedError
            copied, looked = _catch_up(fd, out, copied)
            os.ftruncate(fd, 0)
            ended = time.monotonic()
            end = record.shift + copied
            stream.archives.append(Archive(archive.log, archive.start, end))
            stream.record = replace(record, shift=end, head=0, seen=0, truncating=0, rotated_at=now)
    finally:
        os.close(out)
    failpoint("rotate.truncated")
    _write(stream)
    return Cut(end - archive.start, pace.bytes_in(ended - looked, copied, ended))


def _catch_up(fd: int, out: int, copied: int) -> tuple[int, float]:
    """Copy until nothing is left; give how much that makes, and when the last look began."""
    while True:
        looked = time.monotonic()
        size = os.fstat(fd).st_size
        if size <= copied:
            return copied, looked
        _copy(fd, out, copied, size - copied)
        copied = size
