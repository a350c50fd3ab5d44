"""The table of budgets: as text for a terminal, as Markdown for the docs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.sample import Sample

WIDTH = 100
GAP = "  "
BEGIN, END = "<!-- benchmarks -->", "<!-- end -->"
"""Between these the README repeats the table."""
HEAD = ("what", "budget", "measured", "beside it", "ratio", "met")
# The widest that each column may become; the sum and the gaps stay within WIDTH.
LIMITS = (34, 14, 15, 18, 6, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    what: str
    budget: str = "-"
    measured: str
    beside: str = "-"
    """A peer's figure, with its name."""
    ratio: float | None = None
    """Ours by the peer's: below 1 is better than the peer."""
    met: bool | None = None
    """None: there is nothing that it must meet."""
    note: str = ""
    """Spread, CPU time and how it was measured; shown under the table."""

    def cells(self) -> tuple[str, ...]:
        """Give the row as its columns' texts."""
        ratio = "-" if self.ratio is None else f"{self.ratio:.2f}"
        met = {True: "yes", False: "NO", None: "-"}[self.met]
        return (self.what, self.budget, self.measured, self.beside, ratio, met)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Several supervisors beside each other: one line for each, one column for each measure."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    """The supervisor's name, and a cell for each column."""
    note: str = ""

    def cells(self) -> list[tuple[str, ...]]:
        """Give the table with its head."""
        return [(self.title, *self.columns), *self.lines]

    def as_text(self) -> str:
        """Lay it out in columns, figures to the right.

        >>> print(Beside(title="10 x", columns=("start",), lines=(("runit", "1.00 s"),)).as_text())
        10 x    start
        runit  1.00 s
        """
        cells = self.cells()
        widths = [max(len(line[place]) for line in cells) for place in range(len(cells[0]))]
        return "\n".join(
            GAP.join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
            for line in cells
        )

    def as_markdown(self) -> str:
        """Give it as a Markdown table, its note under it."""
        head, *lines = self.cells()
        table = [head, ("---", *["---:"] * len(self.columns)), *lines]
        text = "\n".join(f"| {' | '.join(line)} |".replace(" --- ", "---") for line in table)
        return f"{text}\n\n{self.note}" if self.note else text


def as_text(rows: Sequence[Row]) -> str:
    """Lay the rows out in columns; nothing is wider than WIDTH.

    >>> print(as_text([Row(what="a", measured="1 ms", ratio=0.5)]))
    what  budget  measured  beside it  ratio  met
    a     -       1 ms      -           0.50  -
    """
    cells = [HEAD, *(row.cells() for row in rows)]
    wanted = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    widths = [min(pair) for pair in zip(wanted, LIMITS, strict=True)]
    return "\n".join(line for row in cells for line in _laid_out(row, widths))


def _laid_out(row: Sequence[str], widths: Sequence[int]) -> Iterable[str]:
    """Give one row as the lines it needs, words wrapped within their columns."""
    columns = [_wrapped(text, width) for text, width in zip(row, widths, strict=True)]
    for number in range(max(map(len, columns))):
        texts = [column[number] if number < len(column) else "" for column in columns]
        padded = [
            text.rjust(width) if place == HEAD.index("ratio") else text.ljust(width)
            for place, (text, width) in enumerate(zip(texts, widths, strict=True))
        ]
        yield GAP.join(padded).rstrip()


def _wrapped(text: str, width: int) -> list[str]:
    """Break a text between words; a longer word is cut.

    >>> _wrapped("cold start of 500", 11)
    ['cold start', 'of 500']
    """
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word[:width])
    return [line for line in lines if line] or [""]


def as_markdown(rows: Sequence[Row]) -> str:
    """Give the rows as a Markdown table, their notes as a list under it.

    >>> print(as_markdown([Row(what="a", measured="1 ms", note="of 3")]))
    | what | budget | measured | beside it | ratio | met |
    |---|---|---|---|---|---|
    | a | - | 1 ms | - | - | - |
    <BLANKLINE>
    - **a**: of 3
    """
    notes = [f"- **{row.what}**: {row.note}" for row in rows if row.note]
    return "\n".join([as_table(rows), *([""] if notes else []), *notes])


def as_table(rows: Sequence[Row]) -> str:
    """Give the rows as a Markdown table."""
    table = [HEAD, ("---",) * len(HEAD), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |".replace(" --- ", "---") for cells in table)


def with_table(text: str, table: str) -> str:
    """Put a table between the two marks of a page.

    >>> with_table("a <!-- benchmarks --> old <!-- end --> b", "new").split()
    ['a', '<!--', 'benchmarks', '-->', 'new', '<!--', 'end', '-->', 'b']
    """
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{mark}\n\n{table}\n\n{end}{after}" if mark and end else text


def time_text(seconds: float) -> str:
    """Give a time with three digits, in the unit that suits it.

    >>> time_text(0.01234), time_text(1.5), time_text(0.00012), time_text(math.inf)
    ('12.3 ms', '1.50 s', '0.12 ms', 'never')
    """
    if math.isinf(seconds):
        return "never"
    if seconds >= 1:
        return f"{seconds:.2f} s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.{0 if milliseconds >= 100 else 1 if milliseconds >= 1 else 2}f} ms"


def spread_text(sample: Sample) -> str:
    """Say how a sample of times is spread.

    >>> spread_text(Sample((0.001, 0.002, 0.003)))
    'p50 2.0 ms, p95 3.0 ms (1.0 ms to 3.0 ms, 3 runs)'
    """
    return (
        f"p50 {time_text(sample.median)}, p95 {time_text(sample.p95)} "
        f"({time_text(sample.least)} to {time_text(sample.most)}, {len(sample.values)} runs)"
    )
