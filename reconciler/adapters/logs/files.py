"""The `Logs` port on plain files that services append to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from reconciler.adapters.logs import follow, past, pieces
from reconciler.adapters.logs.follow import Follower
from reconciler.adapters.logs.grep import Matcher
from reconciler.adapters.logs.index import TimeIndex, read_index
from reconciler.adapters.logs.keeper import Keeper
from reconciler.adapters.logs.lines import LineMaker, Matches
from reconciler.adapters.logs.marking import Marker
from reconciler.adapters.logs.past import Stretch
from reconciler.adapters.logs.spans import Span, span_of
from reconciler.adapters.logs.stream import Reading, Stream, Streams
from reconciler.adapters.logs.wanted import Wanted, compile_query
from reconciler.model.log import LogLine, LogQuery, LogSource, LogUpkeep
from reconciler.model.units import ServiceName
from reconciler.ports import Clock, NotFoundError

DAEMON = ServiceName("weaver")
OLD_DAEMON_LOGS = 9
"""Rotated parts of the daemon's own log that are looked for."""

SOURCES_ASKED_EVERY_S = 1.0
"""How often a reader that follows asks which files there are."""

NEWCOMER_S = 5.0
"""How long ago a run may have begun whose first lines a reader that follows still gets."""

Sources = Callable[[], Sequence[LogSource]]


class LogFiles:
    """Reads the services' logs, and keeps their time indexes."""

    def __init__(self, directory: Path, daemon_log: Path, clock: Clock) -> None:
        self._directory = directory
        self._daemon_log = daemon_log
        self._clock = clock
        self._streams = Streams()
        self._keeper = Keeper(self._streams, clock.wall, directory)
        self._marker = Marker(self._streams, self._index_path, clock.wall)

    def mark_start(self, source: LogSource) -> None:
        """Note where a slot's next run begins in its log."""
        self._marker.start(source)

    def look(self, sources: Sequence[LogSource]) -> None:
        """Note how long each file is now."""
        self._marker.look(sources)
        self._keeper.attend(sources)

    def keep(self) -> LogUpkeep:
        """Rotate what is full."""
        pause_s = self._keeper.look()
        news, troubles = self._keeper.news(), self._keeper.troubles()
        return LogUpkeep(pause_s=pause_s, news=news, troubles=troubles)

    def position(self, source: LogSource) -> int:
        """Give how many bytes were ever written to a log."""
        stream = self.stream(source)
        found = stream.extent()
        if found is not None:
            return found.end
        return stream.record.end if stream.record is not None else 0

    def written(self, source: LogSource, offset: int, limit: int) -> tuple[bytes, int]:
        """Give at most `limit` bytes written from an offset on, and the offset behind them."""
        try:
            with self.stream(source).reading() as log:
                offset = max(offset, log.start)
                found = log.read(min(limit, max(0, log.end - offset)), offset)
        except OSError:
            return b"", offset
        return found, offset + len(found)

    def run_start(self, source: LogSource) -> int:
        """Give the offset at which the last run of a slot begins."""
        try:
            with self.stream(source).reading() as log:
                starts = self.index(source, log).starts
                return starts[-1] if starts else log.start
        except OSError:
            return 0

    def close(self) -> None:
        """Give up what is under way."""
        self._keeper.close()

    async def read(self, query: LogQuery, sources: Sources) -> AsyncIterator[LogLine]:
        """Give the lines that the query asks for, merged by time; see the port."""
        wanted = compile_query(query)
        matcher = await asyncio.to_thread(Matcher, query.grep) if query.grep else None
        try:
            view = _View(self, query, wanted, matcher)
            chosen = self._chosen(query, sources())
            lots = view.past(chosen)
            while (lot := await asyncio.to_thread(next, lots, None)) is not None:
                for line in lot:
                    yield line
            async for line in self._followed(view, query, sources):
                yield line
        finally:
            if matcher is not None:
                matcher.close()

    async def _followed(
        self, view: _View, query: LogQuery, sources: Sources
    ) -> AsyncIterator[LogLine]:
        asked_at = 0.0
        while query.follow:
            if time.monotonic() - asked_at >= SOURCES_ASKED_EVERY_S:
                asked_at = time.monotonic()
                await asyncio.to_thread(view.attend, self._chosen(query, sources()))
            lines = await asyncio.to_thread(view.more)
            for line in lines:
                yield line
            if not lines:
                await asyncio.sleep(follow.POLL_S)

    def _chosen(self, query: LogQuery, sources: Sequence[LogSource]) -> list[LogSource]:
        """Give the files a query is about, each once."""
        if query.daemon:
            return self._daemon_sources()
        chosen: dict[str, LogSource] = {}
        for source in sources:
            if query.services and source.service not in query.services:
                continue
            if query.instance is not None and source.index != query.instance:
                continue
            other = chosen.get(source.path)
            # Of lines in a file that slots share, nobody knows which slot wrote them.
            chosen[source.path] = (
                replace(source, instance=source.service, pid=None) if other else source
            )
        return list(chosen.values())

    def _daemon_sources(self) -> list[LogSource]:
        names = [f"{self._daemon_log}.{number}" for number in range(OLD_DAEMON_LOGS, 0, -1)]
        return [
            LogSource(service=DAEMON, index=0, instance=DAEMON, path=name)
            for name in [*(name for name in names if Path(name).exists()), str(self._daemon_log)]
        ]

    def _index_path(self, source: LogSource) -> Path:
        part = ".err" if source.stream == "stderr" else ""
        return self._directory / source.service / f"{source.index}{part}.index"

    def index(self, source: LogSource, log: Reading) -> TimeIndex:
        """Give what is known of when an open log was written."""
        latest = self._marker.latest(source)
        return read_index(self._index_path(source), log.extent, latest)

    def stream(self, source: LogSource) -> Stream:
        """Give the log of a source."""
        return self._streams.of(source.path)

    def now(self) -> float:
        """Give the wall clock."""
        return self._clock.wall()


class _View:
    """One query under way. Its methods read files, so they run on a thread, one at a time."""

    def __init__(
        self, files: LogFiles, query: LogQuery, wanted: Wanted, matches: Matches | None
    ) -> None:
        self._files = files
        self._query = query
        self._wanted = wanted
        self._matches = matches
        self._followers: dict[str, Follower] = {}

    def past(self, sources: Sequence[LogSource]) -> Iterator[list[LogLine]]:
        """Give what is there already; where each file ends is where following it begins."""
        stretches = [stretch for source in sources if (stretch := self._stretch(source))]
        if self._query.previous and not stretches:
            names = ", ".join(sorted({source.service for source in sources})) or "these services"
            raise NotFoundError(
                f"cannot show an earlier run of {names}: none is on record",
                mend="without --previous the log shows all that was written",
            )
        if self._query.lines is None:
            yield from past.every(stretches)
        else:
            yield from past.newest(stretches, self._query.lines)

    def attend(self, sources: Sequence[LogSource]) -> None:
        """Follow these files, and no others; a new one from where its present run began."""
        known = self._followers
        self._followers = {
            source.path: known.get(source.path) or self._newcomer(source) for source in sources
        }
        for source in sources:
            self._followers[source.path].maker.source = source

    def _newcomer(self, source: LogSource) -> Follower:
        """Follow a log that was not among the first ones."""
        follower = self._follower(source)
        try:
            with follower.stream.reading() as log:
                index = self._files.index(source, log)
                follower.offset = log.start
                if not index.is_empty:
                    began = index.started_since(self._files.now() - NEWCOMER_S)
                    follower.offset = log.end if began is None else began
        except OSError:
            pass  # not there yet: it will be read from its beginning
        return follower

    def more(self) -> list[LogLine]:
        """Give what has come since the last call."""
        return follow.look_at_all(list(self._followers.values()), self._files.now())

    def _stretch(self, source: LogSource) -> Stretch | None:
        stream = self._files.stream(source)
        try:
            with stream.reading() as log:
                index = self._files.index(source, log)
                span = span_of(log, index, self._query)
                if self._query.follow:
                    span = self._begin_following(source, log, span)
        except FileNotFoundError:
            if self._query.follow:
                self._followers[source.path] = self._follower(source)
            return None  # nothing was written yet
        except OSError:
            span, index = Span(0, 1), _NO_INDEX  # reading it will say what is wrong
        if span is None:
            return None
        return Stretch(stream, span, self._maker(source, index))

    def _begin_following(self, source: LogSource, log: Reading, span: Span | None) -> Span | None:
        """Follow a log from its last line break, which is where its past ends."""
        end = pieces.last_break(log, max(log.start, log.end - pieces.LINE_MAX), log.end)
        follower = self._followers[source.path] = self._follower(source)
        follower.offset, follower.extent = end, log.extent
        return Span(span.start, max(span.start, min(span.end, end))) if span else None

    def _follower(self, source: LogSource) -> Follower:
        stream = self._files.stream(source)
        offset = stream.record.end if stream.record is not None else 0
        return Follower(stream, self._maker(source, _NO_INDEX), offset)

    def _maker(self, source: LogSource, index: TimeIndex) -> LineMaker:
        return LineMaker(source, index, self._wanted.of(source), self._matches)


_NO_INDEX = TimeIndex((), 0.0)
