"""What repeated measurements come to."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """The same thing measured several times, in the order in which it was measured."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("cannot summarise a sample: nothing was measured")

    @property
    def median(self) -> float:
        """Give the middle value.

        >>> Sample((3.0, 1.0, 2.0, 100.0)).median
        2.5
        """
        ordered = sorted(self.values)
        middle = len(ordered) // 2
        return ordered[middle] if len(ordered) % 2 else sum(ordered[middle - 1 : middle + 1]) / 2

    @property
    def p95(self) -> float:
        """Give the smallest value that 95 of 100 measurements do not exceed.

        >>> Sample(tuple(float(n) for n in range(1, 101))).p95
        95.0
        """
        return sorted(self.values)[math.ceil(len(self.values) * 0.95) - 1]

    @property
    def least(self) -> float:
        """Give the smallest value: what the rest of the machine disturbed least."""
        return min(self.values)

    @property
    def most(self) -> float:
        """Give the largest value."""
        return max(self.values)


@dataclass(frozen=True, slots=True)
class Runs:
    """One command, run several times to its end."""

    wall_s: Sample
    cpu_s: Sample
    """User and system time, of the command and what it waited for."""
