"""Keep the time indexes: a look every few seconds, and a mark where each run begins."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from reconciler.adapters.logs.index import MARKS_MAX, Mark, header_of, read_marks, thinned
from reconciler.adapters.logs.stream import Extent, Streams
from reconciler.model.log import LogSource


@dataclass(slots=True)
class _Kept:
    """What is known of one log's index without reading it."""

    header: str
    size: int
    looked_at: float
    """When the log had `size` bytes for the last time."""
    marked: float
    """The time of the last mark."""
    count: int


class Marker:
    """Writes the indexes of all logs. Looks and starts may come from different threads."""

    def __init__(
        self,
        streams: Streams,
        index_of: Callable[[LogSource], Path],
        wall: Callable[[], float],
    ) -> None:
        self._streams = streams
        self._index_of = index_of
        self._wall = wall
        self._kept: dict[Path, _Kept] = {}
        self._first_starts: dict[Path, float] = {}
        """Runs that begin with their log: when, for logs that are not there yet."""
        self._lock = threading.Lock()

    def look(self, sources: Iterable[LogSource]) -> None:
        """Mark the length of each log that has grown, and forget logs that are not named."""
        now = self._wall()
        with self._lock:
            seen = {self._index_of(source): source for source in sources}
            for path, source in seen.items():
                log = self._streams.of(source.path).extent()
                if log is not None:
                    self._look_at(path, log, now)
            for known in (self._kept, self._first_starts):
                for path in known.keys() - seen.keys():
                    del known[path]

    def start(self, source: LogSource) -> None:
        """Mark that a new run begins at the end of its log."""
        log, now, path = (
            self._streams.of(source.path).extent(),
            self._wall(),
            self._index_of(source),
        )
        with self._lock:
            if log is None:
                self._first_starts[path] = now
                return
            kept = self._known(path, log, now)
            self._append(path, kept, log, [Mark(now, log.end, is_start=True)], now)

    def latest(self, source: LogSource) -> Mark | None:
        """Give the last look at a log, which is not written down where nothing had come."""
        kept = self._kept.get(self._index_of(source))
        return Mark(kept.looked_at, kept.size) if kept is not None else None

    def _look_at(self, path: Path, log: Extent, now: float) -> None:
        kept = self._known(path, log, now)
        marks = []
        began = self._first_starts.pop(path, 0.0)
        if log.end > kept.size and kept.looked_at > kept.marked:
            # After a silence: so far, nothing of what came now had been written.
            marks.append(Mark(kept.looked_at, kept.size))
        if began and kept.size <= log.start:
            marks.append(Mark(began, log.start, is_start=True))  # in a file that was made anew
        if log.end > kept.size:
            marks.append(Mark(now, log.end))
        self._append(path, kept, log, marks, now)

    def _known(self, path: Path, log: Extent, now: float) -> _Kept:
        """Give what is known of an index, beginning a new one for a log that is another now."""
        kept = self._kept.get(path)
        if kept is not None and kept.header == header_of(log) and kept.size <= log.end:
            return kept
        marks = read_marks(path, log) if kept is None else []
        if not marks:
            marks = self._first_marks(path, log)
            _write_whole(path, log, marks)
        last = marks[-1] if marks else Mark(now, 0)
        kept = _Kept(header_of(log), last.offset, last.time, last.time, len(marks))
        self._kept[path] = kept
        return kept

    def _first_marks(self, path: Path, log: Extent) -> list[Mark]:
        """Give the start that a log begins with; of one that was found, nobody knows when."""
        began = self._first_starts.pop(path, 0.0)
        return [Mark(began, 0, is_start=True)] if began or log.end else []

    def _append(self, path: Path, kept: _Kept, log: Extent, marks: list[Mark], now: float) -> None:
        if marks:
            if kept.count + len(marks) > MARKS_MAX:
                rest = thinned([*read_marks(path, log), *marks])
                _write_whole(path, log, rest)
                kept.count = len(rest)
            else:
                _append_text(path, "".join(map(str, marks)))
                kept.count += len(marks)
            kept.marked = now
        kept.size, kept.looked_at = log.end, now


def _append_text(path: Path, text: str) -> None:
    """Append in one write; an index that cannot be written costs precision, nothing else."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        os.write(fd, text.encode("ascii"))
    except OSError:
        return
    finally:
        os.close(fd)


def _write_whole(path: Path, log: Extent, marks: list[Mark]) -> None:
    fresh = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.write_text(header_of(log) + "".join(map(str, marks)), encoding="ascii")
        fresh.replace(path)
    except OSError:
        return
