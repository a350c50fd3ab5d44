"""Make log lines of a file's pieces, and leave out those that are not asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from reconciler.adapters.logs.index import TimeIndex
from reconciler.adapters.logs.levels import continues
from reconciler.adapters.logs.parse import Parsed, parse
from reconciler.adapters.logs.pieces import Piece
from reconciler.adapters.logs.wanted import Wanted
from reconciler.model.log import Level, LogLine, LogSource

Matches = Callable[[Sequence[str]], Sequence[bool]]
"""Tells for each text whether it contains the pattern."""


@dataclass(slots=True)
class LineMaker:
    """Reads one file's pieces in their order. Keeps what a line leaves to the next one."""

    source: LogSource
    index: TimeIndex
    wanted: Wanted
    matches: Matches | None = None
    newest: float | None = None
    """The latest time of its own that a line of the last lot had."""
    level: Level | None = None
    time: float | None = None

    @property
    def takes_all(self) -> bool:
        """Tell whether every line is asked for."""
        return self.wanted.is_all and self.matches is None

    def begin_anew(self) -> None:
        """Forget the lines before: the next lot does not follow on the last one."""
        self.level = self.time = self.newest = None

    def make(self, pieces: Sequence[Piece], now: float | None = None) -> list[LogLine]:
        """Give the lines asked for; `now` is when they were written, where that was seen."""
        self.newest = None
        lines = [line for piece in pieces if (line := self._line(piece, now)) is not None]
        if self.matches is None or not lines:
            return lines
        verdicts = self.matches([line.raw for line in lines])
        return [line for line, verdict in zip(lines, verdicts, strict=True) if verdict]

    def _line(self, piece: Piece, now: float | None) -> LogLine | None:
        offset, data = piece
        raw = data.removesuffix(b"\r").decode("utf-8", "replace")
        parsed = parse(raw)
        level = self._level(parsed, raw)
        if parsed.time is not None:
            self.time = parsed.time
            self.newest = max(self.newest or parsed.time, parsed.time)
            after = before = parsed.time
        elif now is not None:
            after = before = now
        else:
            after = max(self.index.written_after(offset) or 0.0, self.time or 0.0)
            before = self.index.written_before(offset)
        if not (self.wanted.takes_time(after, before) and self.wanted.takes(parsed, level)):
            return None
        line = self._made(raw, parsed, level, after or before)
        is_present = now is not None or self.index.is_of_last_run(offset)
        return line if is_present or line.pid is None else replace(line, pid=None)

    def _level(self, parsed: Parsed, raw: str) -> Level | None:
        """Give a line's level; what continues a line has that line's."""
        if parsed.level is None and not parsed.is_json and continues(raw):
            return self.level
        self.level = parsed.level
        return parsed.level

    def _made(self, raw: str, parsed: Parsed, level: Level | None, time: float) -> LogLine:
        source = self.source
        return LogLine(
            service=source.service,
            instance=source.instance,
            stream="both",
            message=parsed.message,
            timestamp=time,
            timestamp_source="index" if parsed.time is None else "line",
            service_version=source.version,
            pid=source.pid,
            level=level or "",
            raw=raw,
            lifted=parsed.lifted,
            fields=parsed.fields,
        )


def notice(source: LogSource, text: str, time: float) -> LogLine:
    """Give a line that Weaver says about a log."""
    return LogLine(
        service=source.service,
        instance=source.instance,
        stream="weaver",
        message=text,
        timestamp=time,
        raw=text,
        is_notice=True,
    )
