"""Make log lines of a file's pieces, and leave out those that are not asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reconciler.adapters.logs.index import TimeIndex
from reconciler.adapters.logs.levels import continues
from reconciler.adapters.logs.parse import Parsed, parse
from reconciler.adapters.logs.pieces import Piece
from reconciler.adapters.logs.times import leading_time
from reconciler.adapters.logs.wanted import Wanted
from reconciler.model.log import Level, LogLine, LogSource

Matches = Callable[[Sequence[str]], Sequence[bool]]
"""Tells for each text whether it contains the pattern."""


@dataclass(frozen=True, slots=True)
class _When:
    """Between which moments a line was written."""

    after: float
    """0 where nobody knows."""
    before: float
    is_own: bool = False
    likely: float = 0.0
    """When about, for lines to be shown in order."""


@dataclass(slots=True)
class LineMaker:
    """Reads one file's pieces in their order. Keeps what a line leaves to the next one."""

    source: LogSource
    index: TimeIndex
    wanted: Wanted
    matches: Matches | None = None
    newest: float | None = None
    """The time that the last line of the last lot carried; looked for with `since` only."""
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
        texts = [(offset, _text(data)) for offset, data in pieces]
        if self.wanted.since is not None:
            self.newest = _own_time(parse(texts[-1][1]), texts[-1][1]) if texts else None
        # Nothing is taken apart that does not match; but what continues a line has its level.
        is_late = self.wanted.level is not None
        if not is_late:
            texts = self._matching(texts)
        lines = [line for offset, raw in texts if (line := self._line(offset, raw, now))]
        if not is_late:
            return lines
        kept = {place for place, _ in self._matching([(n, x.raw) for n, x in enumerate(lines)])}
        return [line for place, line in enumerate(lines) if place in kept]

    def _matching(self, texts: list[tuple[int, str]]) -> list[tuple[int, str]]:
        if self.matches is None or not texts:
            return texts
        verdicts = self.matches([text for _, text in texts])
        return [text for text, verdict in zip(texts, verdicts, strict=True) if verdict]

    def _line(self, offset: int, raw: str, now: float | None) -> LogLine | None:
        parsed = parse(raw)
        level = self._level(parsed, raw)
        if not self.wanted.takes(parsed, level):
            return None
        when = self._when(offset, _own_time(parsed, raw), now)
        if not self.wanted.takes_time(when.after, when.before):
            return None
        source = self.source
        return LogLine(
            service=source.service,
            instance=source.instance,
            stream=source.stream,
            message=parsed.message,
            timestamp=when.likely or when.after or when.before,
            timestamp_source="line" if when.is_own else "index",
            service_version=source.version,
            pid=source.pid if now or self.index.is_of_last_run(offset) else None,
            level=level or "",
            raw=raw,
            lifted=parsed.lifted,
            fields=parsed.fields,
        )

    def _when(self, offset: int, own: float | None, now: float | None) -> _When:
        if own is not None:
            self.time = own
            return _When(own, own, is_own=True)
        if now is not None:
            return _When(now, now)
        after = max(self.index.written_after(offset) or 0.0, self.time or 0.0)
        likely = max(self.index.estimate(offset) or 0.0, after)
        return _When(after, self.index.written_before(offset), likely=likely)

    def _level(self, parsed: Parsed, raw: str) -> Level | None:
        """Give a line's level; what continues a line has that line's."""
        if parsed.level is None and not parsed.is_json and continues(raw):
            return self.level
        self.level = parsed.level
        return parsed.level


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


def _text(data: bytes) -> str:
    return data.removesuffix(b"\r").decode("utf-8", "replace")


def _own_time(parsed: Parsed, raw: str) -> float | None:
    """Give the time that a line itself carries."""
    return parsed.time if parsed.is_json else leading_time(raw)
