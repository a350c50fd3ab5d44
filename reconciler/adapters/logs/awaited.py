"""Wait for a line in the output of a run: each byte is looked at once, by a process of its own."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.adapters.logs.files import LogFiles
from reconciler.adapters.logs.grep import Matcher
from reconciler.model.log import LogSource

LOT_BYTES = 1024 * 1024
"""Read at once; what comes after it is looked at by the next question."""
LINE_CHARS = 65536
RUNS_KEPT = 1000


class AwaitedLines:
    """Looks for lines, and knows how far it has looked."""

    def __init__(self, logs: LogFiles) -> None:
        self._logs = logs
        self._seen: dict[tuple[str, str], tuple[int, bytes]] = {}
        """By run and file: the next offset, and a line that was not whole yet."""

    def find(self, run: str, sources: Sequence[LogSource], pattern: str) -> str:
        """Give the first new line of a run that contains a pattern; blocks, and has a deadline.

        Raises WeaverError for a pattern that is none, or takes too long.
        """
        for source in sources:
            key = (run, source.path)
            if key not in self._seen:
                self._seen[key] = (self._logs.run_start(source), b"")
            offset, rest = self._seen[key]
            data, offset = self._logs.written(source, offset, LOT_BYTES)
            *lines, rest = (rest + data).split(b"\n")
            texts = [line.decode("utf-8", "replace")[:LINE_CHARS] for line in lines]
            found = _first(texts, pattern) if texts else ""
            self._seen[key] = (offset, rest[:LINE_CHARS])
            if found:
                return found
        while len(self._seen) > RUNS_KEPT:
            del self._seen[next(iter(self._seen))]
        return ""


def _first(texts: Sequence[str], pattern: str) -> str:
    matcher = Matcher(pattern)
    try:
        return next((text for text, is_it in zip(texts, matcher(texts), strict=True) if is_it), "")
    finally:
        matcher.close()
