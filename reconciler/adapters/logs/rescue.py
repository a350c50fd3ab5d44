"""Copy what a service writes to its log after that was deleted into a new file of its name.

The deleted file lives on without a name for as long as its service writes to it, and is lost with
that process. So it is held open, and what comes is appended to the new log, which is read and
rotated like any other; the room that it takes in the old one is given back. How far that is follows
from how long the new log is, so a daemon that was killed goes on exactly there.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from stat import S_IMODE, S_ISREG

from msgspec.structs import replace

from reconciler.adapters.logs import fallocate, rotate
from reconciler.adapters.logs.astray import output_of
from reconciler.adapters.logs.record import Record, read_record
from reconciler.adapters.logs.stream import Stream
from reconciler.failpoints import failpoint
from reconciler.model.log import LogSource

CHUNK = 1 << 20


@dataclass(slots=True)
class Rescue:
    """One log that was deleted under its service."""

    stream: Stream
    fd: int
    """The deleted file."""
    begun: int
    """Where in it the new log begins."""
    copied: int

    def copy(self) -> None:
        """Append what has come since the last call. Raises OSError, ChangedError."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        out = os.open(self.stream.path, flags)
        try:
            if self.stream.record is None or os.fstat(out).st_ino != self.stream.record.inode:
                raise rotate.ChangedError
            while data := os.pread(self.fd, CHUNK, self.copied):
                failpoint("rescue.copy.before")
                self.copied += os.write(out, data)
                failpoint("rescue.copied")
        finally:
            os.close(out)
        if self.copied > self.begun:
            fallocate.punch(self.fd, self.copied - self.begun, self.begun)
            failpoint("rescue.punched")

    def close(self) -> None:
        """Let go of the deleted file."""
        os.close(self.fd)


def begin(stream: Stream, source: LogSource) -> Rescue:
    """Hold on to the deleted file, and make a new one, or go on with it. Raises OSError."""
    fd = os.open(output_of(source), os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return _begin(stream, fd)
    except BaseException:
        os.close(fd)
        raise


def _begin(stream: Stream, fd: int) -> Rescue:
    found, known = os.fstat(fd), stream.record
    if not S_ISREG(found.st_mode) or found.st_nlink:
        raise OSError(errno.EINVAL, "it was not deleted")
    if known is None or known.deleted != found.st_ino:
        known = _made(stream, fd)
    # It may be known here and not on disk: what is written down last may have failed.
    rotate.write_down(stream)
    failpoint("rescue.recorded")
    begun = max(0, known.shift - known.deleted_shift)
    return Rescue(stream, fd, begun, known.end - known.deleted_shift)


def _made(stream: Stream, deleted: int) -> Record:
    """Make the new log, which goes on where the old one was at the last look."""
    begun, found = _looked_at(stream, deleted), os.fstat(deleted)
    # An empty one may be what a daemon left that was killed here.
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    failpoint("rescue.make.before")
    fd = os.open(stream.path, flags, 0o600)
    try:
        made = os.fstat(fd)
        if made.st_size or made.st_nlink != 1 or not S_ISREG(made.st_mode):
            raise FileExistsError(errno.EEXIST, "somebody has made another", str(stream.path))
        os.fchown(fd, found.st_uid, found.st_gid)
        os.fchmod(fd, S_IMODE(found.st_mode) & 0o666)
        with stream.lock:
            fresh = stream.meet(os.fstat(fd))
            record = replace(fresh, deleted=found.st_ino, deleted_shift=fresh.shift - begun)
            stream.record = record
    finally:
        os.close(fd)
    failpoint("rescue.made")
    return record


def _looked_at(stream: Stream, deleted: int) -> int:
    """Give how far the old log was at the last look, which may be a former daemon's."""
    found = os.fstat(deleted)
    for record in (stream.record, read_record(stream.path)):
        # The number is forgotten as soon as nobody has the name.
        is_known = record is not None and record.inode in (0, found.st_ino)
        if record is not None and is_known and not (record.is_collapsing or record.truncating):
            return min(record.seen, found.st_size)
    return fallocate.first_data(deleted, 0)
