"""Open logs safely, and find the stretch of each that a query is about."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.adapters.logs.index import FileId, TimeIndex
from reconciler.adapters.logs.pieces import last_break, line_start
from reconciler.model.log import LogQuery

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a file; `start` is the beginning of a line, or of a run."""

    start: int
    end: int


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open a log for one read. Raises OSError for what is no plain file, links included."""
    fd = os.open(path, _FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(0, "not a plain file")
        yield fd
    finally:
        os.close(fd)


def file_id(fd: int) -> FileId:
    """Give which file is open, and how long it is."""
    return FileId.of(os.fstat(fd))


def find_renamed(path: Path, log: FileId) -> Path | None:
    """Find a log that was rotated away: the same inode, under another name beside its own."""
    try:
        with os.scandir(path.parent) as entries:
            for entry in entries:
                if entry.inode() == log.inode and entry.is_file(follow_symlinks=False):
                    return Path(entry.path)
    except OSError:
        return None
    return None


def span_of(fd: int, index: TimeIndex, query: LogQuery) -> Span | None:
    """Give the stretch that can hold what is asked for; None: there is none."""
    size = file_id(fd).size
    start, end = 0, size
    if query.previous:
        run = index.previous_run
        if run is None:
            return None
        start, end = run
    if query.since is not None:
        since = index.offset_before(query.since)
        if since > start:
            start = max(start, line_start(fd, since))
    if query.until is not None:
        until = index.offset_after(query.until)
        if until is not None and until < end:
            end = last_break(fd, start, until)
    return Span(start, min(end, size))
