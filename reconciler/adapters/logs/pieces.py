"""Cut a file into lines, from either end, in bounded memory, whatever its bytes are.

A line longer than `LINE_MAX` is several pieces, counted from its beginning; both directions cut
at the same places. An unfinished last line is a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

LINE_MAX = 64 * 1024
BLOCK = 256 * 1024
PIECES_AT_ONCE = 4
"""Of a line without end, read backwards."""

Piece = tuple[int, bytes]
"""Where it begins in the file, and its bytes without the line break."""


class Readable(Protocol):
    """Bytes by their offsets."""

    def read(self, size: int, offset: int, /) -> bytes:
        """Give at most `size` bytes from an offset on."""
        ...


def forward(log: Readable, start: int, end: int) -> Iterator[list[Piece]]:
    """Give the pieces between two offsets, a block's worth at a time."""
    while start < end:
        pieces, start = step(log, start, end)
        if not pieces:
            return
        yield pieces


def step(log: Readable, start: int, end: int) -> tuple[list[Piece], int]:
    """Give the first block's pieces after an offset, and where to go on from."""
    data = log.read(min(BLOCK, end - start), start)
    pieces, at, rest = take(start, data)
    if rest and start + len(data) >= end:
        return [*pieces, (at, rest)], end
    return pieces, at


def take(at: int, data: bytes) -> tuple[list[Piece], int, bytes]:
    r"""Cut what is complete off the front of `data`; give it, and the rest with its place.

    >>> take(10, b"a\n\nbc")
    ([(10, b'a'), (12, b'')], 13, b'bc')
    """
    pieces: list[Piece] = []
    *lines, rest = data.split(b"\n")
    for line in lines:
        pieces += cut(at, line)
        at += len(line) + 1
    while len(rest) > LINE_MAX:
        pieces.append((at, rest[:LINE_MAX]))
        at, rest = at + LINE_MAX, rest[LINE_MAX:]
    return pieces, at, rest


def cut(at: int, line: bytes) -> list[Piece]:
    """Give the pieces of one line."""
    if len(line) <= LINE_MAX:
        return [(at, line)]
    return [(at + begin, line[begin : begin + LINE_MAX]) for begin in range(0, len(line), LINE_MAX)]


def backward(log: Readable, start: int, end: int) -> Iterator[list[Piece]]:
    """Give the pieces between two offsets, newest lot first, each lot in the file's order.

    `start` counts as the beginning of a line.
    """
    while end > start:
        low = max(start, end - BLOCK)
        data = log.read(end - low, low)
        if not data:
            return
        end = low + len(data)
        # A break as the last byte ends the newest line; it does not begin one.
        first = data.find(b"\n", 0, len(data) - 1)
        if low > start and first < 0:
            begin = _line_start(log, start, low)
            yield from _long_line(log, begin, end)
            end = begin
            continue
        skip = 0 if low == start else first + 1
        yield _lines(low + skip, data[skip:])
        end = low + skip


def line_start(log: Readable, offset: int, start: int = 0) -> int:
    """Give where the line that contains an offset begins, looking back one line's length."""
    low = max(start, offset - LINE_MAX)
    return low + log.read(offset - low, low).rfind(b"\n") + 1


def last_break(log: Readable, start: int, end: int) -> int:
    """Give the offset after the last line break, so that no unfinished line is before it."""
    return _line_start(log, start, end)


def _lines(at: int, data: bytes) -> list[Piece]:
    pieces, rest_at, rest = take(at, data)
    return [*pieces, (rest_at, rest)] if rest else pieces


def _line_start(log: Readable, start: int, end: int) -> int:
    """Give the offset after the last line break before `end`, or `start`."""
    while end > start:
        low = max(start, end - BLOCK)
        found = log.read(end - low, low).rfind(b"\n")
        if found >= 0:
            return low + found + 1
        end = low
    return start


def _long_line(log: Readable, begin: int, end: int) -> Iterator[list[Piece]]:
    """Give one line of any length, its last pieces first."""
    if log.read(1, end - 1) == b"\n":
        end -= 1
    count = max(1, -(-(end - begin) // LINE_MAX))
    for high in range(count, 0, -PIECES_AT_ONCE):
        yield [
            (at, log.read(min(LINE_MAX, end - at), at))
            for at in (begin + n * LINE_MAX for n in range(max(0, high - PIECES_AT_ONCE), high))
        ]
