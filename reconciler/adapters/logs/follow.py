"""Follow logs while they are written: by looking at their lengths, a few times a second.

A look costs one `stat` for each file; nothing is kept open between looks, nothing watches single
lines, and a reader that is slow makes nobody wait: what it has not read yet is in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.adapters.logs import pieces
from reconciler.adapters.logs.lines import LineMaker, notice
from reconciler.adapters.logs.past import Keyed, in_order
from reconciler.adapters.logs.pieces import Piece, Readable
from reconciler.adapters.logs.plain_files import PlainFile, find_renamed, opened
from reconciler.adapters.logs.stream import Extent, Stream
from reconciler.model.log import LogLine

POLL_S = 0.2
"""Between two looks that found nothing."""

UNFINISHED_LOOKS = 5
"""Looks after which a line without its break is shown as it is."""

LAG_MAX = 64 * 1024 * 1024
"""A reader this many bytes behind is taken to the end, with a notice."""


@dataclass(slots=True)
class Follower:
    """One log that is followed, wherever its name goes."""

    stream: Stream
    maker: LineMaker
    offset: int = 0
    extent: Extent | None = None
    """What was there at the last look; None while there was nothing."""
    cuts: int = 0
    quiet_looks: int = 0

    def __post_init__(self) -> None:
        """Take note of what was done to the log before."""
        self.cuts = self.stream.cuts

    def look(self, now: float) -> list[LogLine]:
        """Give the lines that have come since the last look."""
        found, before = self.stream.extent(), self.extent
        if found is None:
            return self._nameless(before, now) if before is not None else []
        self.extent = found
        if before is not None and before.file != found.file:
            lines = self._rest_of(before, now)
            self.offset = max(found.shift, found.start)
            return lines
        if self.stream.cuts != self.cuts:
            self.cuts, self.offset = self.stream.cuts, found.start
            return [notice(self.maker.source, "the log was cut short; from its beginning:", now)]
        if found.end == self.offset:
            self.quiet_looks = 0
            return []
        with self.stream.reading() as log:
            self.offset = max(self.offset, log.start)
            return self._grow(log, found.end, now)

    def _grow(self, log: Readable, end: int, now: float) -> list[LogLine]:
        """Read what was appended."""
        if end <= self.offset:
            return []
        lines = self._skip(log, end, now) if end - self.offset > LAG_MAX else []
        found, at = _complete(log, self.offset, end)
        if not found and self._is_unfinished():
            found, at = pieces.step(log, self.offset, end)
        self.offset = at
        return lines + self.maker.make(found, now)

    def _is_unfinished(self) -> bool:
        """Tell whether to show a line that was begun some looks ago and has no end yet."""
        self.quiet_looks += 1
        if self.quiet_looks < UNFINISHED_LOOKS:
            return False
        self.quiet_looks = 0
        return True

    def _skip(self, log: Readable, end: int, now: float) -> list[LogLine]:
        """Go to the end of a log that is written faster than it is read."""
        target = pieces.line_start(log, end - pieces.BLOCK)
        skipped, self.offset = target - self.offset, target
        text = f"skipped {skipped >> 20} MB: the log is written faster than it is read here"
        return [notice(self.maker.source, text, now)]

    def _nameless(self, before: Extent, now: float) -> list[LogLine]:
        """Go on with a file that was renamed and has no successor yet, or give it up."""
        renamed = find_renamed(self.stream.path, *before.file)
        if renamed is None:
            # Deleted: what is still written to it, nobody can reach.
            self.extent, self.offset = None, before.end
            return []
        with opened(renamed) as fd:
            file = PlainFile(fd, before.shift)
            return self._grow(file, file.end, now)

    def _rest_of(self, before: Extent, now: float) -> list[LogLine]:
        """Read the rest of a file that another one has taken the name of."""
        renamed = find_renamed(self.stream.path, *before.file)
        if renamed is None:
            return []
        lines: list[LogLine] = []
        with opened(renamed) as fd:
            file = PlainFile(fd, before.shift)
            for lot in pieces.forward(file, self.offset, min(file.end, self.offset + LAG_MAX)):
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


def _complete(log: Readable, start: int, end: int) -> tuple[list[Piece], int]:
    """Give the pieces of a block that have their line break, and where to go on from."""
    data = log.read(min(pieces.BLOCK, end - start), start)
    found, at, _ = pieces.take(start, data)
    return found, at
