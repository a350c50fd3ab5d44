"""Find tabs that stand where only spaces may.

libyaml lets `a:<TAB>x` pass; other parsers do not, and no eye can tell it from spaces.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from reconciler.manifest.codes import Code
from reconciler.manifest.limits import MAX_FAULTS
from reconciler.model.diagnostic import Diagnostic, Source


def stray_tabs(file: str, text: str, opaque: Sequence[tuple[int, int]]) -> list[Diagnostic]:
    """Give a fault for each line with a tab outside of `opaque` spans and comments.

    Opaque are quoted and block texts: (start, end) offsets, in order.
    """
    faults: list[Diagnostic] = []
    at = text.find("\t")
    while at >= 0 and len(faults) < MAX_FAULTS:
        line_start = text.rfind("\n", 0, at) + 1
        if _is_inside(opaque, at) or _is_comment(text, opaque, line_start, at):
            at = text.find("\t", at + 1)
            continue
        line = text.count("\n", 0, at) + 1
        faults.append(tab_fault(Source(file=file, line=line, column=at - line_start + 1)))
        line_end = text.find("\n", at)
        at = text.find("\t", line_end) if line_end >= 0 else -1
    return faults


def tab_fault(place: Source) -> Diagnostic:
    """Say that a tab stands where only spaces may."""
    return Diagnostic(
        source=place,
        code=Code.TAB,
        message="a tab stands where only spaces may",
        mend='use spaces; inside of double quotes a tab is written "\\t"',
    )


def _is_inside(opaque: Sequence[tuple[int, int]], at: int) -> bool:
    index = bisect_right(opaque, (at, len(opaque) and opaque[-1][1])) - 1
    return index >= 0 and opaque[index][0] <= at < opaque[index][1]


def _is_comment(text: str, opaque: Sequence[tuple[int, int]], line_start: int, at: int) -> bool:
    """Tell whether a `#` that begins a comment comes before this place of the line."""
    mark = text.find("#", line_start, at)
    while mark >= 0:
        begins = mark == line_start or text[mark - 1] in " \t"
        if begins and not _is_inside(opaque, mark):
            return True
        mark = text.find("#", mark + 1, at)
    return False
