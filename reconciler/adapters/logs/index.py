"""The time index of a log: how long the file was at which time, and where each run began.

A line of text for each mark, in a file of its own beside the logs: `t` for a look, `r` for the
start of a run, then the wall clock, then how much was ever written to the log, which rotation does
not change. Its first line names the log: marks of another one mean nothing and are not used.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

from reconciler.adapters.logs.stream import Extent

HEADER = "weaver-log-index 1"
MARKS_MAX = 4_096
"""Marks kept for one log; at the limit every other look of the past is dropped."""
STARTS_MAX = 64
"""Starts of runs kept for one log."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The log was `offset` bytes long at `time`; 0 is a time that nobody knows."""

    time: float
    offset: int
    is_start: bool = False

    def __str__(self) -> str:
        return f"{'r' if self.is_start else 't'} {self.time:.3f} {self.offset}\n"


class TimeIndex:
    """The marks of one log, in the order they were made.

    Wall clocks are set back at times. So a search uses the latest time seen up to each mark: it
    may then begin too early in the file, and never leaves out a line that belongs in.
    """

    def __init__(self, marks: Sequence[Mark], changed: float, end: int = 0) -> None:
        """Take the marks, and when the log was last written to and how long it was then."""
        self._marks = marks
        self._offsets = [mark.offset for mark in marks]
        self._times = list(accumulate((mark.time for mark in marks), max))
        self._changed = changed
        self._end = end
        self.starts = [mark.offset for mark in marks if mark.is_start]
        """Where each run began, in order."""

    @property
    def previous_run(self) -> tuple[int, int] | None:
        """Give where the run before the last one begins and ends; None: there was none."""
        return (self.starts[-2], self.starts[-1]) if len(self.starts) >= 2 else None

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing is known."""
        return not self._marks

    def started_since(self, time: float) -> int | None:
        """Give where the first run after a moment begins; None: none did."""
        return next(
            (mark.offset for mark in self._marks if mark.is_start and mark.time >= time), None
        )

    def is_of_last_run(self, offset: int) -> bool:
        """Tell whether what stands at an offset was written by the run that began last."""
        return not self.starts or offset >= self.starts[-1]

    def offset_before(self, time: float) -> int:
        """Give an offset before which nothing was written at `time` or later."""
        place = bisect_right(self._times, time) - 1
        return self._offsets[place] if place >= 0 else 0

    def offset_after(self, time: float) -> int | None:
        """Give an offset from which on everything was written after `time`; None: no such."""
        place = bisect_right(self._times, time)
        return self._offsets[place] if place < len(self._offsets) else None

    def written_after(self, offset: int) -> float | None:
        """Give the latest time known to be before the byte at `offset` was written."""
        place = bisect_right(self._offsets, offset) - 1
        return self._marks[place].time or None if place >= 0 else None

    def written_before(self, offset: int) -> float:
        """Give the earliest time known to be after the byte at `offset` was written."""
        place = bisect_right(self._offsets, offset)
        return self._times[place] if place < len(self._times) else self._changed

    def estimate(self, offset: int) -> float | None:
        """Guess when the byte at `offset` was written, as if all between two looks came evenly."""
        place = bisect_right(self._offsets, offset)
        if not place or not (before := self._marks[place - 1]).time:
            return None
        is_last = place == len(self._marks)
        until, end = (
            (self._changed, self._end) if is_last else (self._times[place], self._offsets[place])
        )
        share = (offset - before.offset) / max(1, end - before.offset)
        return before.time + max(0.0, until - before.time) * min(1.0, share)


def header_of(log: Extent) -> str:
    """Give the first line of a log's index."""
    return f"{HEADER} {log.stream}\n"


def read_index(path: Path, log: Extent, latest: Mark | None = None) -> TimeIndex:
    """Read a log's index; an empty one where there is none that belongs to it.

    `latest` is a look that found nothing new, and so was not written down.
    """
    marks = read_marks(path, log)
    if latest is not None and marks and marks[-1].offset == latest.offset:
        marks.append(latest)
    return TimeIndex(marks, log.changed, log.end)


def read_marks(path: Path, log: Extent) -> list[Mark]:
    """Read the marks that hold for the log as it is now."""
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return []
    header, _, body = text.partition("\n")
    if f"{header}\n" != header_of(log):
        return []
    marks = [mark for mark in map(_mark, body.splitlines()) if mark is not None]
    offsets = [mark.offset for mark in marks]
    is_whole = all(a <= b for a, b in pairwise(offsets))
    return marks if is_whole and (not offsets or offsets[-1] <= log.end) else []


def thinned(marks: Sequence[Mark]) -> list[Mark]:
    """Drop every other look and the oldest starts, so that the rest is half as long or so."""
    starts = [place for place, mark in enumerate(marks) if mark.is_start][-STARTS_MAX:]
    looks = [place for place, mark in enumerate(marks) if not mark.is_start][::-2]
    return [marks[place] for place in sorted([*starts, *looks])]


def _mark(line: str) -> Mark | None:
    """Read one mark; None for a line that a crash cut short."""
    try:
        kind, time, offset = line.split(" ")
        return Mark(float(time), int(offset), is_start=kind == "r")
    except ValueError:
        return None
