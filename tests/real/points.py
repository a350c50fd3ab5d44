"""The table of failpoints, as rows, and the blows that may be dealt at each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

TABLE = Path(__file__).parents[2] / "docs" / "failpoints.md"
ROW = re.compile(r"^\| `([a-z.-]+)` \| .*? \| ([a-z]+) \| (.*?) \|$", re.MULTILINE)
NO_ERROR = "-"


class Blow(StrEnum):
    """What is done to the programs at a point."""

    KILL = "whoever passes is killed"
    OTHER = "the other one is killed while it stands still"
    BOTH = "both are killed"
    HALT = "whoever passes stands still for a while"
    RAISE = "an error there"


@dataclass(frozen=True, slots=True)
class Point:
    """One row of the table."""

    name: str
    deed: str
    error: str
    """What an input/output error comes to there."""

    @property
    def blows(self) -> list[Blow]:
        """Give what may be done here."""
        return [blow for blow in Blow if blow is not Blow.RAISE or self.error != NO_ERROR]


def points(*deeds: str) -> list[Point]:
    """Give the points that these deeds pass."""
    found = [Point(*row) for row in ROW.findall(TABLE.read_text("utf-8"))]
    return [point for point in found if point.deed in deeds] if deeds else found
