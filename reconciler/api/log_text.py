"""Print lines of logs: as written behind a coloured name, or as rows of CSV."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Collection, Iterable

from reconciler.api.human import plain, uncoloured
from reconciler.api.page import Page, fold
from reconciler.api.wire.base import timestamp
from reconciler.model.log import LogLine

CSV_COLUMNS = ("timestamp", "service", "instance", "pid", "stream", "level", "message")

PREFIX_WIDTH = 12
LONGEST_LINE = 64 * 1024
"""Characters of one line that are shown."""

_PREFIX_COLOURS = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")


def log_text(
    lines: Iterable[LogLine], page: Page, *, prefixed: bool, several: Collection[str] = ()
) -> str:
    """Give lines as they were written, one each; prefixed where they come from several places.

    Services named in `several` have more than one instance, and the prefix says which.
    """
    return "".join(
        f"{_prefix(line, page, several) if prefixed else ''}{_text(line, page)}\n" for line in lines
    )


def daemon_log_text(text: str, page: Page) -> str:
    """Give lines of the daemon's own log, broken where the page folds."""
    return "\n".join(fold(line, page) for line in text.split("\n"))


def log_csv(lines: Iterable[LogLine], *, titles: bool) -> str:
    """Give lines as rows of CSV, under their titles where it is the beginning."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    if titles:
        rows.writerow(CSV_COLUMNS)
    for line in lines:
        at = "" if line.timestamp is None else timestamp(line.timestamp)
        words = (line.service, line.instance, line.pid, line.stream, line.level)
        rows.writerow((at, *words, uncoloured(line.message[:LONGEST_LINE])))
    return text.getvalue()


def _prefix(line: LogLine, page: Page, several: Collection[str]) -> str:
    """Give the name in its own colour, the same one every time."""
    name = plain(line.instance if line.service in several else line.service) or "weaver"
    text = f"{name:<{PREFIX_WIDTH}} | "
    if not page.colour:
        return text
    colour = _PREFIX_COLOURS[zlib.crc32(name.encode()) % len(_PREFIX_COLOURS)]
    return f"\x1b[{colour}m{text}\x1b[0m"


def _text(line: LogLine, page: Page) -> str:
    """Give the line without anything that could command a terminal."""
    text = uncoloured((line.raw or line.message)[:LONGEST_LINE])
    if not line.is_notice:
        return text
    return f"\x1b[2m({text})\x1b[0m" if page.colour else f"({text})"
