"""Follow logs while they are written: by looking at their lengths, a few times a second.

A look costs one `stat` for each file; nothing is kept open between looks, nothing watches single
lines, and a reader that is slow makes nobody wait: what it has not read yet is in the file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.adapters.logs import pieces
from reconciler.adapters.logs.index import FileId
from reconciler.adapters.logs.lines import LineMaker, notice
from reconciler.adapters.logs.past import Keyed, in_order
from reconciler.adapters.logs.pieces import Piece
from reconciler.adapters.logs.spans import file_id, find_renamed, opened
from reconciler.model.log import LogLine

POLL_S = 0.2
"""Between two looks that found nothing."""

UNFINISHED_LOOKS = 5
"""Looks after which a line without its break is shown as it is."""

LAG_MAX = 64 * 1024 * 1024
"""A reader this many bytes behind is taken to the end, with a notice."""


@dataclass(slots=True)
class Follower:
    """One file that is followed, wherever its name goes."""

    path: Path
    maker: LineMaker
    log: FileId | None
    """The file at the last look; None while there is none."""
    offset: int
    quiet_looks: int = 0

    def look(self, now: float) -> list[LogLine]:
        """Give the lines that have come since the last look."""
        try:
            found = FileId.of(os.stat(self.path, follow_symlinks=False))  # noqa: PTH116 (hot)
        except OSError:
            found = None
        if found is None:
            return self._nameless(now) if self.log is not None else []
        if self.log is not None and not _same(found, self.log):
            lines = self._leave(self.log, now)
            self.log, self.offset = found, 0
            return lines
        self.log = found
        if found.size < self.offset:
            self.offset = 0
            return [notice(self.maker.source, "the log was cut short; from its beginning:", now)]
        return self._grow(self.path, found, now)

    def _grow(self, path: Path, log: FileId, now: float) -> list[LogLine]:
        """Read what was appended."""
        if log.size == self.offset:
            self.quiet_looks = 0
            return []
        lines = self._skip(path, log, now) if log.size - self.offset > LAG_MAX else []
        with opened(path) as fd:
            if not _same(file_id(fd), log):
                return lines
            found, at = _complete(fd, self.offset, log.size)
            if not found and self._is_unfinished():
                found, at = pieces.step(fd, self.offset, log.size)
        self.offset = at
        return lines + self.maker.make(found, now)

    def _is_unfinished(self) -> bool:
        """Tell whether to show a line that was begun some looks ago and has no end yet."""
        self.quiet_looks += 1
        if self.quiet_looks < UNFINISHED_LOOKS:
            return False
        self.quiet_looks = 0
        return True

    def _skip(self, path: Path, log: FileId, now: float) -> list[LogLine]:
        """Go to the end of a log that is written faster than it is read."""
        with opened(path) as fd:
            target = pieces.line_start(fd, log.size - pieces.BLOCK)
        skipped, self.offset = target - self.offset, target
        text = f"skipped {skipped >> 20} MB: the log is written faster than it is read here"
        return [notice(self.maker.source, text, now)]

    def _nameless(self, now: float) -> list[LogLine]:
        """Go on with a file that was renamed and has no successor yet, or give it up."""
        renamed = find_renamed(self.path, self.log) if self.log is not None else None
        if renamed is None:
            # Deleted: what is still written to it, nobody can reach.
            self.log, self.offset = None, 0
            return []
        return self._grow(renamed, FileId.of(renamed.stat()), now)

    def _leave(self, log: FileId, now: float) -> list[LogLine]:
        """Read the rest of a file that another one has taken the name of."""
        renamed = find_renamed(self.path, log)
        if renamed is None:
            return []
        lines: list[LogLine] = []
        with opened(renamed) as fd:
            end = min(file_id(fd).size, self.offset + LAG_MAX)
            for lot in pieces.forward(fd, self.offset, end):
                lines += self.maker.make(lot, now)
        return lines


def look_at_all(followers: Sequence[Follower], now: float) -> list[LogLine]:
    """Give what has come in all files, by time; a file's own order is kept."""
    keyed: list[Keyed] = []
    for follower in followers:
        try:
            keyed += in_order(follower.look(now))
        except OSError:
            continue  # gone between two calls, or unreadable for now: the next look will tell
    keyed.sort(key=lambda pair: pair[0])
    return [line for _, line in keyed]


def _complete(fd: int, start: int, end: int) -> tuple[list[Piece], int]:
    """Give the pieces of a block that have their line break, and where to go on from."""
    data = os.pread(fd, min(pieces.BLOCK, end - start), start)
    found, at, _ = pieces.take(start, data)
    return found, at


def _same(one: FileId, other: FileId) -> bool:
    return (one.device, one.inode) == (other.device, other.inode)
