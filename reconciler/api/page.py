"""Lay text out on a page of a known width: columns that shrink or go, and colour on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from enum import Enum

from reconciler.api.human import cells, clip

DEFAULT_WIDTH = 80
NARROWEST = 20
WIDEST = 1000
GAP = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What text is rendered for: a terminal's width, whether it shows colour, and its clock."""

    width: int = DEFAULT_WIDTH
    colour: bool = False
    zone: tzinfo = UTC
    folds: bool = False
    """Whether lines that are lists of what happened are broken at the width, too."""


class Paint(Enum):
    """What a colour means; the value is the terminal's code for it."""

    PLAIN = ""
    GOOD = "32"
    BUSY = "33"
    BAD = "31"
    DIM = "2"
    BOLD = "1"


def paint(text: str, colour: Paint, page: Page) -> str:
    r"""Colour text where the page shows colour.

    >>> paint("ok", Paint.GOOD, Page()), paint("ok", Paint.GOOD, Page(colour=True))
    ('ok', '\x1b[32mok\x1b[0m')
    """
    if not (page.colour and colour.value and text):
        return text
    return f"\x1b[{colour.value}m{text}\x1b[0m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table, and what may happen to it where the page is narrow."""

    title: str
    texts: Sequence[str]
    paints: Sequence[Paint] = ()
    """One for each text; empty: none is coloured."""
    right: bool = False
    floor: int | None = None
    """It may be cut to this many columns before another one is left out; None: not at all."""
    expendable: int = 0
    """Left out where the page is too narrow, the highest number first; 0: always there."""


def table(columns: Sequence[Column], page: Page, *, fit: bool = True) -> list[str]:
    """Give the lines of a table, titles first, none wider than the page.

    With `fit=False` nothing is cut or left out, however long the lines get.

    >>> names = Column(title="NAME", texts=["api", "db"])
    >>> why = Column(title="WHY", texts=["waiting for db to be ready", ""], floor=8)
    >>> table([names, why], Page(width=20))
    ['NAME  WHY', 'api   waiting for d…', 'db']
    """
    natural = {c.title: max(len(c.title), max(map(cells, c.texts), default=0)) for c in columns}
    shown = _that_fit(columns, natural, page.width) if fit else list(columns)
    widths = _widths(shown, natural, page.width) if fit else list(natural.values())
    parts = list(zip(shown, widths, strict=True))
    lines = [_line([_cell(c.title, c, w, last=c is shown[-1]) for c, w in parts])]
    return lines + [
        _line([_painted(c, row, w, page, last=c is shown[-1]) for c, w in parts])
        for row in range(len(shown[0].texts))
    ]


def _that_fit(columns: Sequence[Column], natural: Mapping[str, int], width: int) -> list[Column]:
    """Leave out expendable columns until the others fit, each cut to its floor at most."""
    shown = list(columns)
    going = sorted((c for c in columns if c.expendable), key=lambda c: -c.expendable)
    for column in going:
        least = sum(_least(c, natural) for c in shown)
        if least + len(GAP) * (len(shown) - 1) <= width:
            break
        shown.remove(column)
    return shown


def _widths(columns: Sequence[Column], natural: Mapping[str, int], width: int) -> list[int]:
    """Give each column's width; what is too much is taken from the last ones first.

    First down to the floors; where even that is too wide, down to the titles.
    """
    widths = [natural[c.title] for c in columns]
    excess = sum(widths) + len(GAP) * (len(columns) - 1) - width
    floors = [_least(c, natural) for c in columns]
    for limits in (floors, [len(c.title) for c in columns]):
        for place in reversed(range(len(columns))):
            given = max(0, min(excess, widths[place] - limits[place]))
            widths[place] -= given
            excess -= given
    return widths


def _least(column: Column, natural: Mapping[str, int]) -> int:
    """Give the width below which a column is cut only when no other can go."""
    whole = natural[column.title]
    return whole if column.floor is None else min(whole, max(column.floor, len(column.title)))


def _cell(text: str, column: Column, width: int, *, last: bool) -> str:
    """Cut and pad one cell; what stands last on a line is not padded."""
    shown = clip(text, width)
    padding = " " * (width - cells(shown))
    if column.right:
        return padding + shown
    return shown if last else shown + padding


def _painted(column: Column, row: int, width: int, page: Page, *, last: bool) -> str:
    """Give one cell of the body, coloured after it was cut."""
    text = _cell(column.texts[row], column, width, last=last)
    return paint(text, column.paints[row], page) if column.paints else text


def _line(parts: Sequence[str]) -> str:
    """Join the cells of one line."""
    return GAP.join(parts).rstrip()


def wrap(text: str, page: Page, indent: str = "") -> list[str]:
    """Break a sentence into lines of the page's width, each after `indent`.

    A word longer than a line is cut rather than let it run over.

    >>> wrap("needs db, which is not ready yet", Page(width=20), indent="  ")
    ['  needs db, which is', '  not ready yet']
    """
    room = max(1, page.width - len(indent))
    lines: list[str] = []
    for word in text.split():
        if lines and cells(lines[-1]) + 1 + cells(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(clip(word, room))
    return [indent + line for line in lines]


_LEAST_ROOM = 8
"""Columns that are worth beginning a text in."""


def fold(text: str, page: Page, *, begun: int = 0, indent: int = 4) -> str:
    r"""Break a line that begins in column `begun`, where the page folds; the rest is indented.

    Nothing is left out: a word that is longer than a line is broken, too.

    >>> fold("exited with 1: no route to host", Page(width=20, folds=True), begun=4, indent=2)
    'exited with 1:\n  no route to host'
    """
    indent = indent if 2 * indent <= page.width else 2
    if not page.folds or begun + cells(text) <= page.width:
        return text
    room = page.width - begun
    lines: list[str] = []
    if room < _LEAST_ROOM:
        lines, room = [""], page.width - indent
    while cells(text) > room:
        end = _end_of_line(text, room)
        lines.append(text[:end].rstrip())
        text = text[end:].lstrip()
        room = page.width - indent
    return f"\n{' ' * indent}".join([*lines, text] if text else lines)


def _end_of_line(text: str, room: int) -> int:
    """Give where a line ends: behind the last space that it has room for, else where it is full."""
    end = full = 0
    for place, char in enumerate(text):
        if char == " ":
            end = place + 1
        room -= cells(char)
        if room < 0:
            break
        full = place + 1
    return end if text[:end].strip() else max(full, 1)
