"""What a query asks of each line, checked and ready to be applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from reconciler.adapters.logs.levels import level_value
from reconciler.adapters.logs.parse import Parsed
from reconciler.model.log import Level, LogQuery, LogSource
from reconciler.ports import ManifestError

LINES_MAX = 100_000
"""The most lines `-n` gets from one query; all of them are had without `-n`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The filters of a query, but for the pattern."""

    level: Level | None = None
    fields: tuple[tuple[tuple[str, ...], str], ...] = ()
    """Path and text; each must be there."""
    since: float | None = None
    until: float | None = None

    def of(self, source: LogSource) -> Wanted:
        """Give what is asked of one file, which may have a least level of its own."""
        if self.level is not None or not source.least:
            return self
        return replace(self, level=level_value(source.least))

    @property
    def is_all(self) -> bool:
        """Tell whether every line passes."""
        return self.level is None and not self.fields and self.since is self.until is None

    def takes(self, parsed: Parsed, level: Level | None) -> bool:
        """Tell whether a line's content passes. A line of no level counts as `info`."""
        if self.level is not None and (level or Level.INFO).rank < self.level.rank:
            return False
        return all(_has(parsed, path, text) for path, text in self.fields)

    def takes_time(self, after: float, before: float) -> bool:
        """Tell whether a line passes that was written between two moments."""
        if self.since is not None and before < self.since:
            return False
        return self.until is None or after <= self.until


def compile_query(query: LogQuery) -> Wanted:
    """Check a query; raise ManifestError for one that asks the impossible."""
    level = level_value(query.level) if query.level else None
    if query.level and level is None:
        names = ", ".join(Level)
        raise ManifestError(f"cannot use level {query.level!r}", mend=f"one of {names}")
    if query.lines is not None and query.lines < 0:
        raise ManifestError(f"cannot show {query.lines} lines", mend="give a number from 0 on")
    if query.lines is not None and query.lines > LINES_MAX:
        mend = f"ask for {LINES_MAX} at most, or for all of them: weaver logs -n all"
        raise ManifestError(f"cannot count out the last {query.lines} lines", mend=mend)
    if query.since is not None and query.until is not None and query.since > query.until:
        raise ManifestError(
            "cannot show lines since a time that is after `--until`",
            mend="swap the two: --since is the earlier one (--since 10m --until 5m)",
        )
    fields = tuple((tuple(path.split(".")), text) for path, text in query.fields.items())
    return Wanted(level=level, fields=fields, since=query.since, until=query.until)


def _has(parsed: Parsed, path: tuple[str, ...], text: str) -> bool:
    """Tell whether a line has a value under a path: a lifted key, or one of its fields."""
    for place in (parsed.lifted, parsed.fields):
        whole = place.get(".".join(path), _walk(place, path))
        if whole is not None and _text(whole) == text:
            return True
    return False


def _walk(place: Mapping[str, object], path: tuple[str, ...]) -> object:
    value: object = place
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def _text(value: object) -> str:
    """Give a value as a person types it.

    >>> _text(True), _text(8001), _text("a")
    ('true', '8001', 'a')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)
