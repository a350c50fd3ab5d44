"""Open logs safely: nothing but plain files, and nobody waits for whoever is at the other end."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open a log for one read. Raises OSError for what is no plain file, links included."""
    fd = os.open(path, FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(0, "not a plain file")
        yield fd
    finally:
        os.close(fd)


def find_renamed(path: Path, device: int, inode: int) -> Path | None:
    """Find a log that was moved: the same file, under another name beside its own."""
    try:
        with os.scandir(path.parent) as entries:
            for entry in entries:
                if entry.inode() == inode and entry.is_file(follow_symlinks=False):
                    found = entry.stat(follow_symlinks=False)
                    if found.st_dev == device:
                        return Path(entry.path)
    except OSError:
        return None
    return None


@dataclass(frozen=True, slots=True)
class PlainFile:
    """One open file, by where its bytes stand in a log."""

    fd: int
    shift: int = 0

    @property
    def end(self) -> int:
        """Give the offset behind its last byte."""
        return self.shift + os.fstat(self.fd).st_size

    def read(self, size: int, offset: int) -> bytes:
        """Give at most `size` bytes from an offset on."""
        return os.pread(self.fd, size, offset - self.shift)
