"""Cut lines out of a text."""

from __future__ import annotations

from reconciler.manifest.nodes import Scalar


def line_start(text: str, at: int) -> int:
    """Give where the line of this offset begins."""
    return text.rfind("\n", 0, at) + 1


def line_end(text: str, at: int, *, with_break: bool = False) -> int:
    r"""Give where the line of this offset ends: before its break, or behind it.

    >>> line_end("a\r\nb", 0), line_end("a\r\nb", 0, with_break=True), line_end("a\r\nb", 3)
    (1, 3, 4)
    """
    found = text.find("\n", at)
    if found < 0:
        return len(text)
    if with_break:
        return found + 1
    return found - 1 if found > at and text[found - 1] == "\r" else found


def trimmed(text: str, end: int) -> int:
    """Give where a value's text ends that may have blank lines behind it."""
    while end > 0 and text[end - 1].isspace():
        end -= 1
    return end


def comment_of(text: str, at: int) -> str:
    """Give the comment that ends the line of this offset.

    >>> comment_of("a: 1  # one", 4)
    '# one'
    """
    rest = text[at : line_end(text, at)].strip()
    return rest if rest.startswith("#") else ""


def pair_lines_of(text: str, key: Scalar, end: int, indent: int, *, whole: bool) -> list[str]:
    """Give the lines of a pair of a block mapping, shifted so that its key stands at `indent`.

    With `whole` the comments directly above it and at its end come too. Nothing where the key is
    not the first in its line.
    """
    begin = line_start(text, key.start)
    column = key.start - begin
    if text[begin : key.start].strip(" "):
        return []
    if whole:
        begin = _above(text, begin, column)
        end = line_end(text, end)
    lines = text[begin:end].replace("\r\n", "\n").split("\n")
    return [_shifted(line, indent - column) for line in lines]


def _above(text: str, begin: int, column: int) -> int:
    """Go up over the comments that stand directly above a line, at its indentation."""
    while begin > 0:
        upper = line_start(text, begin - 1)
        line = text[upper:begin]
        if line.lstrip(" ")[:1] != "#" or len(line) - len(line.lstrip(" ")) != column:
            return begin
        if line.startswith("# yaml-language-server:"):
            return begin
        begin = upper
    return begin


def _shifted(line: str, columns: int) -> str:
    if not line.strip():
        return ""
    if columns >= 0:
        return " " * columns + line
    blanks = len(line) - len(line.lstrip(" "))
    return line[min(-columns, blanks) :]
