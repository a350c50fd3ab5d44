"""The services' logs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from reconciler.model.log import LogLine, LogQuery, LogSource, LogUpkeep


class Logs(Protocol):
    """The services' logs, as files that the services themselves append to."""

    def read(
        self, query: LogQuery, sources: Callable[[], Sequence[LogSource]]
    ) -> AsyncIterator[LogLine]:
        """Give the lines of these files that the query asks for, merged by time.

        `sources` is asked again while following. Raises WeaverError for a query that is wrong.
        """
        ...

    def mark_start(self, source: LogSource) -> None:
        """Note where a slot's next run begins in its log. Call just before the start."""
        ...

    def look(self, sources: Sequence[LogSource]) -> None:
        """Note how long each file is now, every ten seconds or so; `keep` looks after these."""
        ...

    def keep(self) -> LogUpkeep:
        """Rotate what is full. Blocks; never raises."""
        ...

    def position(self, source: LogSource) -> int:
        """Give how many bytes were ever written to a log. Does not block."""
        ...

    def written(self, source: LogSource, offset: int, limit: int) -> tuple[bytes, int]:
        """Give at most `limit` bytes from a position on, and the position behind them. Blocks."""
        ...

    def close(self) -> None:
        """Give up what is under way."""
        ...
