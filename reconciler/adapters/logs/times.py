"""Read points in time as programs write them at the head of a line, or under a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

EARLIEST = 946_684_800.0
"""The year 2000: a smaller number is a counter, not a time."""
LATEST = 7_258_118_400.0
"""The year 2200."""

HEAD = 160
"""How far into a line a time is looked for."""

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}

# 2026-11-22T15:54:00.123Z, 2026-11-22 15:54:00,123 +0100, 2026/11/22 15:54:00 (nginx, Go)
_ISO = re.compile(
    r"\[?(\d{4})([-/])(\d\d)\2(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
    r"\s?(Z\b|UTC\b|[+-]\d\d:?\d\d\b)?"
)
# [22/Nov/2026:15:54:00 +0000] in access logs; Python's http.server writes no zone
_COMMON = re.compile(r"\[(\d\d)/([A-Z][a-z]{2})/(\d{4})[: ](\d\d):(\d\d):(\d\d)(?: ([+-]\d{4}))?\]")


def leading_time(text: str) -> float | None:
    """Give the time that a plain line carries at its head, in seconds since 1970.

    A time without a zone is local time, as programs mean it.

    >>> leading_time("2023-11-14T22:13:20.5Z started")
    1700000000.5
    >>> leading_time('::1 - - [14/Nov/2023:22:13:20 +0000] "GET / HTTP/1.1" 200')
    1700000000.0
    >>> leading_time("listening on 8080") is None
    True
    """
    found = _ISO.match(text)
    if found:
        year, _, month, day, hour, minute, second, fraction, zone = found.groups()
        parts = (int(year), int(month), int(day), int(hour), int(minute), int(second))
        return _seconds(parts, fraction, zone)
    found = _COMMON.search(text, 0, HEAD) if "[" in text[:HEAD] else None
    if found:
        day, name, year, hour, minute, second, zone = found.groups()
        parts = (int(year), _MONTHS.get(name, 0), int(day), int(hour), int(minute), int(second))
        return _seconds(parts, None, zone)
    return None


def time_value(value: object) -> float | None:
    """Give the time that a value of a JSON line stands for: a text, or a number since 1970.

    >>> time_value("2023-11-14T22:13:20Z"), time_value(1700000000), time_value(1700000000000)
    (1700000000.0, 1700000000.0, 1700000000.0)
    >>> time_value(17), time_value(True), time_value("soon")
    (None, None, None)
    """
    if isinstance(value, str):
        return leading_time(value)
    if isinstance(value, Mapping):  # Google's
        seconds, nanos = value.get("seconds"), value.get("nanos", 0)
        if isinstance(seconds, str) and seconds.isascii() and seconds.isdigit():
            seconds = int(seconds)
        if isinstance(seconds, int) and isinstance(nanos, int):
            return time_value(seconds + nanos / 1e9)
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    for scale in (1.0, 1e3, 1e6, 1e9):
        seconds = value / scale
        if EARLIEST <= seconds <= LATEST:
            return seconds
    return None


def _seconds(
    parts: tuple[int, int, int, int, int, int], fraction: str | None, zone: str | None
) -> float | None:
    micros = int((fraction or "0").ljust(6, "0")[:6])
    try:
        return datetime(*parts, micros, tzinfo=_zone(zone)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _zone(text: str | None) -> timezone | None:
    """Give a zone; None is the local one."""
    if not text:
        return None
    if text in {"Z", "UTC"}:
        return UTC
    hours, minutes = int(text[1:3]), int(text[-2:])
    span = timedelta(hours=hours, minutes=minutes)
    return timezone(-span if text[0] == "-" else span)
