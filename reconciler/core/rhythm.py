"""Say when a slot is to be checked, so that the checks of a thousand slots never come together.

Each slot has a share of its own of every interval, made from its name. So checks are spread evenly
however many begin at the same moment, and stay where they are over the life of a daemon.
"""

from __future__ import annotations

from reconciler.core.luck import fraction
from reconciler.model.health import HealthCheck
from reconciler.model.observed import Slot
from reconciler.model.units import Nanos, milliseconds, seconds

ADOPTED_WITHIN = seconds(10)
"""In which all slots that ran before the daemon did are checked for the first time."""

TICK = milliseconds(100)
"""Checks that are due in the same one begin together: waking up costs as much as a check does."""
LEAST_PLACES = 10
"""Into which even a short interval is divided."""


def share(slot: Slot) -> float:
    """Give the part of an interval after which a slot's time comes.

    >>> from reconciler.model.units import ServiceName
    >>> 0 <= share(Slot(service=ServiceName("web"), index=0)) < 1
    True
    """
    return fraction(str(slot), 0)


def first(part: float, health: HealthCheck, now: Nanos, *, is_adopted: bool) -> Nanos:
    """Give the time of a slot's first check: soon, and later where all slots are new to us.

    >>> from reconciler.model.health import CheckType
    >>> check = HealthCheck(type=CheckType.TCP, interval=seconds(5))
    >>> first(0.5, check, seconds(100), is_adopted=False) == seconds(100.5)
    True
    >>> first(0.5, check, seconds(100), is_adopted=True) == seconds(102.5)
    True
    """
    most = ADOPTED_WITHIN if is_adopted else health.start_interval
    return Nanos(now + _phase(part, min(most, health.interval)))


def following(part: float, every: Nanos, begun: Nanos) -> Nanos:
    """Give the first of a slot's own times that is not too soon after the last check began.

    >>> following(0.25, seconds(10), seconds(100.2)) == seconds(112.5)
    True
    >>> following(0.25, seconds(10), seconds(112.5)) == seconds(122.5)
    True
    >>> following(0.25, seconds(10), seconds(112.9)) == seconds(122.5)
    True
    """
    earliest = begun + every // 2
    return Nanos(earliest + (_phase(part, every) - earliest) % every)


def _phase(part: float, every: Nanos) -> int:
    """Give a slot's place in an interval, in whole ticks.

    >>> _phase(0.678, seconds(10)) == seconds(6.7), _phase(0.678, seconds(0.1)) == seconds(0.06)
    (True, True)
    """
    tick = max(1, min(TICK, every // LEAST_PLACES))
    return int(every * part) // tick * tick


def pace(health: HealthCheck, age: Nanos, *, has_passed: bool) -> Nanos:
    """Give the interval that is in force for a process of this age.

    >>> from reconciler.model.health import CheckType
    >>> check = HealthCheck(type=CheckType.TCP, start_period=seconds(30))
    >>> [pace(check, seconds(age), has_passed=ok) // seconds(1) for age, ok in
    ...  [(5, False), (5, True), (30, False)]]
    [1, 10, 10]
    """
    is_starting = not has_passed and age < health.start_period
    return min(health.start_interval, health.interval) if is_starting else health.interval
