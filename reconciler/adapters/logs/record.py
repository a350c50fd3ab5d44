"""The record beside a log that was rotated: where its live file stands in all that was written.

`.web.log.rotation`, one JSON object, replaced as a whole. It is on disk before anything is done
that could not be told from its not being done; see docs/decisions/log-rotation.md.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one log."""

    stream: str
    """The log's name for ever: device and inode of its first file."""
    device: int
    inode: int
    """Of the live file."""
    shift: int = 0
    """Where the live file's first byte stands in all that was ever written."""
    head: int = 0
    """How many bytes at the front of the live file are in rotated files, or dropped."""
    seen: int = 0
    """How long the live file was at the last look."""
    rotated_at: float = 0.0
    is_collapsing: bool = False
    """A hole of `head` bytes is at the front, on disk, and about to be collapsed: as long as the
    file begins with it that has not happened, and no longer."""
    truncating: int = 0
    """The rotated file that holds the first so many bytes is whole; the live file is about to be
    emptied, for want of a better way."""
    deleted: int = 0
    """The inode of a file without a name that a service writes on to, and that is copied here."""
    deleted_shift: int = 0
    """Where that one's first byte stands."""

    @property
    def start(self) -> int:
        """Give where the first line of the live file stands in all that was ever written."""
        return self.shift + self.head

    @property
    def end(self) -> int:
        """Give how much was ever written, as of the last look."""
        return self.shift + self.seen


_DECODER = msgspec.json.Decoder(Record)


def record_path(log: Path) -> Path:
    """Give the path of a log's record."""
    return log.with_name(f".{log.name}.rotation")


def read_record(log: Path) -> Record | None:
    """Read a record; None where there is none, or none that can be believed."""
    try:
        found = _DECODER.decode(record_path(log).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    return found if min(found.shift, found.head, found.seen, found.truncating) >= 0 else None


def write_record(log: Path, record: Record) -> None:
    """Write a record: on disk, whole or not at all, when this returns. Raises OSError."""
    path = record_path(log)
    fresh = path.with_name(f"{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(fresh, flags, 0o600)
        try:
            data = msgspec.json.encode(record)
            if os.write(fd, data) < len(data):
                raise OSError(28, "written in part")
            os.fsync(fd)
        finally:
            os.close(fd)
        fresh.replace(path)
    except OSError:
        with suppress(OSError):
            fresh.unlink()
        raise
    sync_folder(log.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
