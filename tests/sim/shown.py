"""What a story shows besides events and decisions: faults, tables, and nights without news."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from reconciler.model.diagnostic import Diagnostic
from reconciler.model.status import ServiceStatus

INDENT = " " * 12
"""Lines that answer a question have no time."""
_SAME_LOOKS = re.compile(
    r"^(.{8})  > look\n.{8}  < (looked|host lost)(: .*)\n"
    r"(?:.{8}  > look\n.{8}  < \2\3\n)+",
    re.MULTILINE,
)

_ASKED_IN_VAIN = re.compile(r"  > ask the clock for |  < times of .*: none passed$")


def without_dull_looks(lines: Iterable[str]) -> list[str]:
    """Tell in one line of looks that find the same again and again."""

    def count(looks: re.Match[str]) -> str:
        found = f"{looks[2]}{looks[3]}".removeprefix("looked: ")
        return f"{looks[1]}    looks {looks[0].count('> look')} times, each time: {found}\n"

    told = "".join(f"{line}\n" for line in lines if not _ASKED_IN_VAIN.search(line))
    return _SAME_LOOKS.sub(count, told).splitlines()


def fault_lines(fault: Diagnostic) -> Iterator[str]:
    """Give what is wrong in a manifest, and the mend."""
    yield f"{INDENT}{fault.source}: {fault.message}"
    if fault.mend:
        yield f"{INDENT}    mend: {fault.mend}"


def row(one: ServiceStatus) -> list[str]:
    """Give a service as one row of a table."""
    return [one.name, str(one.state), str(one.health), str(one.sync), one.reason]


def table(rows: list[list[str]], empty: str) -> list[str]:
    """Give rows with their columns below each other."""
    if not rows:
        return [f"{INDENT}{empty}"]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return [f"{INDENT}{line}" for line in lines]
