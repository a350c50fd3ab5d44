"""Find the stretch of a log that a query is about."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.adapters.logs.index import TimeIndex
from reconciler.adapters.logs.pieces import last_break, line_start
from reconciler.adapters.logs.stream import Reading
from reconciler.model.log import LogQuery


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a log; `start` is the beginning of a line, or of a run."""

    start: int
    end: int


def span_of(log: Reading, index: TimeIndex, query: LogQuery) -> Span | None:
    """Give the stretch that can hold what is asked for; None: there is none."""
    start, end = log.start, log.end
    if query.previous:
        run = index.previous_run
        if run is None or run[1] <= log.start:
            return None
        start, end = max(run[0], log.start), run[1]
    if query.since is not None:
        since = index.offset_before(query.since)
        if since > start:
            start = max(start, line_start(log, since, log.start))
    if query.until is not None:
        until = index.offset_after(query.until)
        if until is not None and until < end:
            end = last_break(log, start, max(start, until))
    return Span(start, min(end, log.end))
