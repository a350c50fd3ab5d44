"""Say spans, sizes, times and foreign text so that a person takes them in at a glance.

All text that people see goes through here, so that a duration looks the same everywhere and no
name, reason or log line can carry an escape sequence to a terminal.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

MINUTE_S = 60
HOUR_S = 60 * MINUTE_S
DAY_S = 24 * HOUR_S

SHORT_COMMIT = 7
ELLIPSIS = "…"
NOTHING = "-"

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

_UNITS = ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "m"), (1, "s"))
_WORDS = {"d": "d", "h": "h", "m": "min", "s": "s"}


def span(seconds: float) -> str:
    """Give a span in at most two units, for a narrow column.

    >>> [span(s) for s in (0.25, 3.2, 75, 7325, 93784, 8640000)]
    ['0s', '3s', '1m15s', '2h2m', '1d2h', '100d']
    """
    parts = _two_units(seconds)
    return "".join(f"{number}{unit}" for number, unit in parts[: 1 if seconds >= 10 * DAY_S else 2])


def span_in_words(seconds: float) -> str:
    """Give a span as it stands in a sentence.

    >>> [span_in_words(s) for s in (0.004, 0.25, 3.21, 12, 75, 7325, 93784)]
    ['4 ms', '250 ms', '3.2 s', '12 s', '1 min 15 s', '2 h 2 min', '1 d 2 h']
    """
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))} ms"
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    return " ".join(f"{number} {_WORDS[unit]}" for number, unit in _two_units(seconds))


def _two_units(seconds: float) -> list[tuple[int, str]]:
    """Split a span into its largest unit and, where something is left, the next one."""
    whole = max(0, int(seconds))
    for place, (length, unit) in enumerate(_UNITS):
        if whole >= length:
            parts = [(whole // length, unit)]
            parts += [(whole % length // less, name) for less, name in _UNITS[place + 1 :][:1]]
            return [part for part in parts if part[0]]
    return [(0, "s")]


def size(count: float) -> str:
    """Give a number of bytes, 1024-based like the manifests.

    >>> [size(n) for n in (0, 512, 8388608, 27262976, 1503238553)]
    ['0B', '512B', '8.0M', '26M', '1.4G']
    """
    value = float(count)
    for unit in "BKMGT":
        if value < 1000 or unit == "T":
            break
        value /= 1024
    if unit == "B" or value >= 10:
        return f"{value:.0f}{unit}"
    return f"{value:.1f}{unit}"


def percent(value: float) -> str:
    """Give a share of one core.

    >>> [percent(p) for p in (0, 0.04, 0.44, 12.3, 250)]
    ['0%', '0%', '0.4%', '12%', '250%']
    """
    shown = f"{value:.1f}" if value < 10 else f"{value:.0f}"
    return f"{shown.removesuffix('.0')}%"


def count(number: int, one: str, many: str = "") -> str:
    """Give a number with its noun.

    >>> count(1, "service"), count(3, "service"), count(0, "entry", "entries")
    ('1 service', '3 services', '0 entries')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def listing(names: Sequence[str], limit: int = 8) -> str:
    """Join names for a sentence, cutting a long list short.

    >>> listing(["api", "db"]), listing(list("abcd"), limit=2)
    ('api, db', 'a, b and 2 more')
    """
    if len(names) <= limit:
        return ", ".join(names)
    return f"{', '.join(names[:limit])} and {len(names) - limit} more"


def commit(name: str) -> str:
    """Shorten a commit's name.

    >>> commit("9be0177c0ffee"), commit("")
    ('9be0177', 'no commit yet')
    """
    return name[:SHORT_COMMIT] or "no commit yet"


def clock(at: float) -> str:
    """Give a moment (seconds since 1970) as people read it, in UTC.

    >>> clock(1700000000.25)
    '2023-11-14 22:13:20'
    """
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def time_of_day(at: float) -> str:
    """Give only the time of a moment, for lists of today's events.

    >>> time_of_day(1700000000.25)
    '22:13:20'
    """
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def plain(text: str) -> str:
    r"""Make foreign text harmless: what is not printable is spelled out.

    That covers escape sequences, line breaks, lone surrogates and the characters that turn the
    direction of writing round.

    >>> plain("ok"), plain("\x1b[31mred\n"), plain("a\u202eb")
    ('ok', '\\x1b[31mred\\n', 'a\\u202eb')
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def uncoloured(text: str) -> str:
    r"""Make a log line harmless: its colours go, anything else that is no text is spelled out.

    >>> uncoloured("\x1b[1;31mERROR\x1b[0m it broke\x07\tat 12")
    'ERROR it broke\\x07    at 12'
    """
    if text.isprintable():
        return text
    return plain(_COLOUR.sub("", text).replace("\t", "    "))


def cells(text: str) -> int:
    """Count the terminal columns that printable text takes.

    >>> cells("abc"), cells("日本"), cells("e\u0301")
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(map(_cells_of, text))


def clip(text: str, width: int) -> str:
    """Cut text to a number of columns, showing that something was cut.

    >>> clip("waiting for db", 20), clip("waiting for db", 8), clip("日本", 3)
    ('waiting for db', 'waiting…', '日…')
    """
    if cells(text) <= width:
        return text
    if width < 1:
        return ""
    if text.isascii():
        return text[: width - 1].rstrip() + ELLIPSIS
    kept, room = [], width - 1
    for char in text:
        room -= _cells_of(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept).rstrip() + ELLIPSIS


def _cells_of(char: str) -> int:
    """Count the columns of one character: two for wide ones, none for combining ones."""
    if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
