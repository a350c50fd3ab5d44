"""The host's clocks."""

from __future__ import annotations

import time
from pathlib import Path

from reconciler.model.units import Nanos, in_seconds
from reconciler.ports import Clock

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class HostClock:
    """Reads the kernel's clocks; implements the `Clock` port."""

    def __init__(self) -> None:
        self._boot = BOOT_ID.read_text(encoding="ascii").strip()

    def now(self) -> Nanos:
        """Give the time since boot, suspend included."""
        return Nanos(time.clock_gettime_ns(time.CLOCK_BOOTTIME))

    def wall(self) -> float:
        """Give the wall clock in seconds since 1970."""
        return time.time()

    def boot(self) -> str:
        """Give the kernel's boot id."""
        return self._boot


def wall_at(at: Nanos, clock: Clock) -> float:
    """Give the wall clock of a point of this boot, as that clock stands now.

    Times are kept as boot times, which nothing can set; so a wall clock that was wrong at the
    time of an event and was put right since gives the right time here.
    """
    return clock.wall() - in_seconds(Nanos(clock.now() - at))
