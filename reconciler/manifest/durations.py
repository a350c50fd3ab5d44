"""Read and write spans of time as manifests spell them: `500ms 10s 5m 1h 2d 1w`."""

from __future__ import annotations

import re
from decimal import Decimal

from reconciler.model.units import MILLISECOND, SECOND, Nanos

UNITS = {
    "ms": MILLISECOND,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
    "d": 86400 * SECOND,
    "w": 7 * 86400 * SECOND,
}
LONGEST = Nanos(52 * UNITS["w"])
SMALLEST_BARE_MS = 100
"""A bare number is milliseconds; one below this is more likely meant as seconds."""

_SPAN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d|w)")
_MONTHS = re.compile(r"([1-9]|1[0-2])M")
_LOOSE_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)")
_LONG_UNITS = {
    "millisecond": "ms",
    "milliseconds": "ms",
    "msec": "ms",
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "min": "m",
    "mins": "m",
    "minute": "m",
    "minutes": "m",
    "hr": "h",
    "hour": "h",
    "hours": "h",
    "day": "d",
    "days": "d",
    "week": "w",
    "weeks": "w",
}


class DurationError(ValueError):
    """A span of time that cannot be used; `mend` is what to write instead."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.mend = mend


def read(value: str | int) -> Nanos:
    """Give the span that a manifest's value means.

    >>> read("1.5s"), read(250), read("0")
    (1500000000, 250000000, 0)
    """
    span = _milliseconds(value) if isinstance(value, int) else _span(value)
    if span > LONGEST:
        raise DurationError(f"`{value}` is longer than 52 weeks", "use 52w at most")
    return span


def is_months(value: str | int) -> bool:
    """Tell whether a value is in months, which only intervals of calendars' length may be.

    >>> is_months("1M"), is_months("1m")
    (True, False)
    """
    return isinstance(value, str) and _MONTHS.fullmatch(value) is not None


def read_interval(value: str | int) -> Nanos:
    """Give a span that may be in months, of 30 days each.

    >>> read_interval("1M") == read("30d")
    True
    """
    if isinstance(value, str) and is_months(value):
        return Nanos(int(value[:-1]) * 30 * UNITS["d"])
    return read(value)


def write(span: Nanos) -> str:
    """Spell a span in the largest unit that needs no fraction.

    >>> write(Nanos(90_000_000_000)), write(Nanos(250_000_000)), write(Nanos(0))
    ('90s', '250ms', '0')
    """
    if span == 0:
        return "0"
    for unit, size in reversed(UNITS.items()):
        if span % size == 0:
            return f"{span // size}{unit}"
    return f"{Decimal(span) / MILLISECOND:f}ms"


def _milliseconds(count: int) -> Nanos:
    if count < 0:
        raise DurationError(f"`{count}` is negative", "a span of time is 0 or more")
    if 0 < count < SMALLEST_BARE_MS:
        message = f"`{count}` without a unit would be milliseconds"
        raise DurationError(message, f"write `{count}s` for seconds, `{count}ms` if you mean that")
    return Nanos(count * MILLISECOND)


def _span(text: str) -> Nanos:
    if text == "0":
        return Nanos(0)
    found = _SPAN.fullmatch(text)
    if found is None:
        raise DurationError(f"`{text}` is no span of time", _mend(text))
    return Nanos(int(Decimal(found[1]) * UNITS[found[2]]))


def _mend(text: str) -> str:
    """Guess what was meant by `10 m`, `1d2h`, `5 minutes` or `10S`.

    >>> _mend("10 m"), _mend("1d2h")
    ('write `10m`', 'write `26h`')
    """
    usual = 'write a number and a unit: "500ms", "10s", "5m", "1h", "2d", "1w"'
    if text[-1:] == "M" and text[:-1].isdigit():
        return f"write `{text[:-1]}m` for minutes, or days: `30d`"
    lowered = text.strip().lower()
    if lowered.isascii() and lowered.isdigit():
        return f"write `{lowered}s` for seconds or `{lowered}ms` for milliseconds"
    parts = _LOOSE_PART.findall(lowered)
    if not parts or _LOOSE_PART.sub("", lowered).strip(" ,+"):
        return usual
    total = Nanos(0)
    for count, word in parts:
        unit = _LONG_UNITS.get(word, word)
        if unit not in UNITS or len(count) > 9:
            return usual
        total = Nanos(total + int(Decimal(count) * UNITS[unit]))
    return f"write `{write(total)}`" if 0 < total <= LONGEST else usual
