"""Define the units that every other noun is measured in."""

from __future__ import annotations

from typing import NewType

Nanos = NewType("Nanos", int)
"""A point or a span of time in nanoseconds. Points count from the boot of the host
(CLOCK_BOOTTIME), so that no wall clock can move them."""

WallTime = NewType("WallTime", int)
"""A point of the wall clock in nanoseconds since 1970. Anybody may set that clock, so nothing but
schedules goes by it."""

ServiceName = NewType("ServiceName", str)
"""A service's identity: `[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?`."""

Serial = NewType("Serial", int)
"""The number of a command or of a look; grows by one, never reused in a daemon's life."""

RunId = NewType("RunId", str)
"""The random mark of one start of one slot; a process carries it as WEAVER_RUN."""

Digest = NewType("Digest", str)
"""The hash of the fields of a spec that reach the process."""

MILLISECOND = 1_000_000
SECOND = 1_000_000_000


def milliseconds(count: float) -> Nanos:
    """Give `count` milliseconds.

    >>> milliseconds(1.5)
    1500000
    """
    return Nanos(round(count * MILLISECOND))


def seconds(count: float) -> Nanos:
    """Give `count` seconds.

    >>> seconds(2)
    2000000000
    """
    return Nanos(round(count * SECOND))


def minutes(count: float) -> Nanos:
    """Give `count` minutes.

    >>> minutes(1) == seconds(60)
    True
    """
    return seconds(count * 60)


def in_seconds(span: Nanos) -> float:
    """Give a span in seconds, as JSON and people want it.

    >>> in_seconds(milliseconds(250))
    0.25
    """
    return span / SECOND


def is_older(theirs: str, ours: str) -> bool:
    """Tell whether a version is older than another; what is no version is not.

    >>> is_older("0.9.1", "0.10.0"), is_older("0.10.0", "0.10.0"), is_older("", "0.1.0")
    (True, False, False)
    """
    theirs_numbers, ours_numbers = _numbers(theirs), _numbers(ours)
    return bool(theirs_numbers) and theirs_numbers < ours_numbers


def _numbers(version: str) -> tuple[int, ...]:
    """Give the numbers of a version; none where it is no version."""
    parts = version.split(".")
    return tuple(int(part) for part in parts) if all(map(str.isdigit, parts)) else ()


def amount(size: int) -> str:
    """Give bytes as people read them, in units of 1024.

    >>> amount(512 << 20), amount(1536 << 20), amount(300_000_000), amount(900)
    ('512M', '1.5G', '286M', '900')
    """
    for unit, one in (("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)):
        if size >= one:
            count = size / one
            return f"{count:.0f}{unit}" if count >= 100 else f"{count:.3g}{unit}"
    return str(size)
