"""Decide when a repository is looked at next, and when not to have seen it counts."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.units import Nanos, seconds

JITTER = 0.1
"""Each pause is up to so much longer or shorter, so that many hosts do not ask at once."""
MISSED_LOOKS = 3
"""After so many in a row, what is followed counts as stale."""
LONGEST_PAUSE = seconds(300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """What became of the looks at a repository."""

    failures: int = 0
    """In a row."""
    seen_at: Nanos | None = None
    """When it was last seen; None: never yet."""

    @property
    def is_stale(self) -> bool:
        """Tell whether what is known of it is too old to be called in sync."""
        return self.failures >= MISSED_LOOKS


def succeeded(now: Nanos) -> Looks:
    """Give the looks after one that worked."""
    return Looks(seen_at=now)


def failed(looks: Looks) -> Looks:
    """Give the looks after one that did not."""
    return Looks(failures=looks.failures + 1, seen_at=looks.seen_at)


def pause(looks: Looks, interval: Nanos, luck: float) -> Nanos:
    """Give how long to wait for the next look; `luck` is in 0..1.

    >>> pause(Looks(), seconds(10), 0.5) == seconds(10)
    True
    >>> [pause(Looks(failures=n), seconds(10), 0.5) // seconds(1) for n in (1, 2, 3, 9)]
    [10, 20, 40, 300]
    """
    base = interval * 2 ** min(max(0, looks.failures - 1), 16)
    base = min(base, max(interval, LONGEST_PAUSE))
    return Nanos(int(base * (1 + JITTER * (2 * luck - 1))))
