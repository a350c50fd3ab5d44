"""Give what is in the logs already: the newest lines of all files, or every one, by time.

These are plain generators that read files, so they run on a thread. They yield often, be it an
empty lot, so that a search through gigabytes can be given up in the middle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from reconciler.adapters.logs import pieces
from reconciler.adapters.logs.lines import LineMaker, notice
from reconciler.adapters.logs.spans import Span
from reconciler.adapters.logs.stream import Stream
from reconciler.model.log import LogLine

SEARCH_MAX = 4 * 1024 * 1024 * 1024
"""Bytes of one file that are searched backwards for lines that match."""

CLOCK_SLACK_S = 3600.0
"""How much older than `since` all lines of a lot must be for the search to end there."""

Keyed = tuple[float, LogLine]


@dataclass(slots=True)
class Stretch:
    """A stretch of one log, and what makes lines of it."""

    stream: Stream
    span: Span
    maker: LineMaker


def newest(stretches: Sequence[Stretch], count: int) -> Iterator[list[LogLine]]:
    """Give the newest lines of all stretches together, by time."""
    found: list[Keyed] = []
    for stretch in stretches if count else ():
        lots: list[list[LogLine]] = []
        for lot in _backward(stretch, count):
            lots.append(lot)
            yield []
        found += in_order([line for lot in reversed(lots) for line in lot][-count:])
    found.sort(key=lambda keyed: keyed[0])
    yield [line for _, line in found[-count:]]


def every(stretches: Sequence[Stretch]) -> Iterator[list[LogLine]]:
    """Give all lines of all stretches, by time."""
    streams = [_Stream(_forward(stretch)) for stretch in stretches]
    while streams:
        for stream in streams:
            while stream.fill():
                yield []
        # What is as old as the newest line of the stream that is furthest behind is in order.
        limit = min((stream.newest for stream in streams if not stream.is_done), default=None)
        ready = [keyed for stream in streams for keyed in stream.take(limit)]
        ready.sort(key=lambda keyed: keyed[0])
        yield [line for _, line in ready]
        streams = [stream for stream in streams if stream.lines or not stream.is_done]


def in_order(lines: Iterable[LogLine], latest: float = 0.0) -> list[Keyed]:
    """Key the lines of one file so that sorting by time keeps their order in the file."""
    keyed = []
    for line in lines:
        latest = max(latest, line.timestamp or 0.0)
        keyed.append((latest, line))
    return keyed


@dataclass(slots=True)
class _Stream:
    """The lines of one stretch, read as they are needed."""

    lots: Iterator[list[LogLine]]
    lines: deque[Keyed] = field(default_factory=deque)
    newest: float = 0.0
    is_done: bool = False

    def fill(self) -> bool:
        """Read one more lot where none is left; tell whether that was done."""
        if self.lines or self.is_done:
            return False
        lot = next(self.lots, None)
        if lot is None:
            self.is_done = True
            return False
        self.lines.extend(in_order(lot, self.newest))
        if self.lines:
            self.newest = self.lines[-1][0]
        return True

    def take(self, limit: float | None) -> Iterator[Keyed]:
        """Take the lines up to a time; without one, all."""
        while self.lines and (limit is None or self.lines[0][0] <= limit):
            yield self.lines.popleft()


def _backward(stretch: Stretch, count: int) -> Iterator[list[LogLine]]:
    """Give lots of lines, the newest first, until there are as many as asked for."""
    maker, span, had = stretch.maker, stretch.span, 0
    try:
        with stretch.stream.reading() as log:
            for lot in pieces.backward(log, max(span.start, log.start), span.end):
                maker.begin_anew()
                wanted = lot[max(0, len(lot) - (count - had)) :] if maker.takes_all else lot
                lines = maker.make(wanted)
                had += len(lines)
                yield lines
                if had >= count or _is_too_old(maker):
                    return
                if span.end - lot[0][0] > SEARCH_MAX:
                    text = f"searched the last {SEARCH_MAX >> 30} GiB only"
                    yield [notice(maker.source, text, lines[0].timestamp or 0.0 if lines else 0.0)]
                    return
    except OSError as error:
        yield [_unreadable(stretch, error)]


def _forward(stretch: Stretch) -> Iterator[list[LogLine]]:
    """Give the lines of a stretch; it is open only while a lot of it is read."""
    start = stretch.span.start
    while True:
        try:
            with stretch.stream.reading() as log:
                lot, start = pieces.step(log, max(start, log.start), stretch.span.end)
        except OSError as error:
            yield [_unreadable(stretch, error)]
            return
        if not lot:
            return
        yield stretch.maker.make(lot)


def _is_too_old(maker: LineMaker) -> bool:
    since = maker.wanted.since
    return since is not None and maker.newest is not None and maker.newest < since - CLOCK_SLACK_S


def _unreadable(stretch: Stretch, error: OSError) -> LogLine:
    text = f"cannot read {stretch.stream.path}: {error.strerror or error}"
    return notice(stretch.maker.source, text, 0.0)
