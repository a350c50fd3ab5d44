"""Lines of logs: where they come from, which are asked for, and what one of them says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model.units import Nanos, ServiceName


class Level(StrEnum):
    """How grave a line is, from the least to the gravest."""

    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    FATAL = "fatal"

    @property
    def rank(self) -> int:
        """Give the place in the order of gravity, 0 for the least."""
        return _ORDER.index(self)


_ORDER = tuple(Level)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRotation:
    """When a log is cut, and what is kept of it."""

    max_size: int | None = 10 * 1024 * 1024
    """The size at which the live file is cut; None: whatever its size."""
    max_files: int = 5
    """Rotated files that are kept besides the live one; 0: its older half is dropped."""
    compress: bool = True
    interval: Nanos | None = None
    """It is cut when this long has passed since the last time, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSource:
    """One log file and the slot that writes it."""

    service: ServiceName
    index: int
    """The slot's."""
    instance: str
    """The slot's text, `web-0`."""
    path: str
    """Absolute. Slots that share a file (`logFile` without `${instance}`) name the same one."""
    version: str = ""
    pid: int | None = None
    """Of the run that writes now, where one does."""
    stream: str = "both"
    """`stdout` and `stderr` where each has a file to itself."""
    least: str = ""
    """The least `Level` that is shown where a query names none (`logLevel`)."""
    rotation: LogRotation | None = None
    """None: nobody rotates it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNews:
    """Something happened to a log that people should know."""

    kind: str
    source: LogSource | None
    reason: str
    data: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogUpkeep:
    """What came of a look after logs."""

    pause_s: float
    """When to look again."""
    news: tuple[LogNews, ...] = ()
    troubles: tuple[str, ...] = ()
    """What is wrong just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which log lines."""

    services: tuple[ServiceName, ...] = ()
    """None named: all, merged by time."""
    lines: int | None = 100
    """The newest so many of what matches, all services together; None: every one."""
    follow: bool = False
    """Then those that are being written, without end."""
    since: float | None = None
    """Seconds since 1970."""
    until: float | None = None
    grep: str = ""
    """A regular expression that the line as written must contain."""
    level: str = ""
    """The least `Level` that counts."""
    fields: Mapping[str, str] = field(default_factory=dict)
    instance: int | None = None
    previous: bool = False
    """The run before the present one."""
    daemon: bool = False
    """The daemon's own log instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a service's log, with what was lifted out of it; keys as in the contract."""

    service: ServiceName
    instance: str
    stream: str
    """`stdout`, `stderr`, or `both` where one file holds both in their order."""
    message: str
    timestamp: float | None = None
    """Seconds since 1970."""
    timestamp_source: str = "index"
    """`line` where the line has a time of its own."""
    service_version: str = ""
    pid: int | None = None
    level: str = ""
    """One of `Level`; empty where the line does not say."""
    raw: str = ""
    """The line as written; bytes that are no UTF-8 replaced."""
    lifted: Mapping[str, object] = field(default_factory=dict)
    """`requestId userId traceId spanId duration error`, those that are present."""
    fields: Mapping[str, object] = field(default_factory=dict)
    is_notice: bool = False
    """Said by Weaver about the log, not by the service: `skipped 12 MB` ..."""
