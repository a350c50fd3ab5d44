"""The rule of schedules: what has one runs at its times, and at each of them at most once.

Stated with arithmetic of its own: which times there are is not asked of what the daemon asks.
"""

from __future__ import annotations

from datetime import UTC, datetime

from reconciler.model.event import TimeTold
from reconciler.model.observed import Slot
from reconciler.model.spec import Schedule, ServiceSpec
from reconciler.model.units import SECOND, Nanos, ServiceName, WallTime, minutes

SET_BACK = minutes(180)
"""A clock that is set back by more makes times come again."""
STEPS = {"*/5 * * * *": 300, "* * * * *": 60, "0 * * * *": 3600}
"""Seconds between the times of the expressions that are used here."""
MAY_WAIT = 2
"""The newest time, and the one before, whose run may have waited until now."""


class Timetables:
    """What every daemon together has started, by the schedules in force."""

    def __init__(self) -> None:
        self._schedules: dict[ServiceName, Schedule] = {}
        self._served: dict[Slot, list[WallTime]] = {}
        """Of each slot the scheduled times that are served by a start."""
        self._told: dict[ServiceName, dict[str, Nanos]] = {}
        """When each time was that any daemon was told of, by its label; the newest comes last."""
        self._spans: dict[Slot, list[Nanos]] = {}
        """Of each slot that runs after equal spans, the times that are served by a start."""
        self._started: dict[Slot, Nanos] = {}
        self._serving: set[Slot] = set()
        """Slots whose last start was for a scheduled time."""
        self._asked: dict[ServiceName, Nanos] = {}
        self._wall: WallTime | None = None
        self.latest = WallTime(0)
        """What the wall clock has shown at most; times up to then do not come again."""

    def read_clock(self, wall: WallTime) -> None:
        """Take in what the wall clock shows."""
        self.latest = wall if self.latest - wall > SET_BACK else max(self.latest, wall)
        if self._wall is not None and self._wall - wall > SET_BACK:
            self._served.clear()
        self._wall = wall if self._wall is None else max(self._wall, wall)
        if not self._served:
            self._wall = wall

    def reboot(self) -> None:
        """Begin the clock anew that counts from the boot."""
        self._told.clear()
        self._spans.clear()
        self._started.clear()
        self._serving.clear()
        self._asked.clear()

    def hear(self, told: TimeTold) -> None:
        """Take in which scheduled time was the last, by the clock that nobody sets."""
        if not told.problem:
            times = self._told.setdefault(told.service, {})
            times.pop(told.label, None)
            times[told.label] = told.at

    def asked(self, service: ServiceName, now: Nanos) -> None:
        """Note that somebody wants a run now."""
        self._asked[service] = now

    def started(self, slot: Slot, now: Nanos, *, is_serving: bool) -> None:
        """Note that something was started, for a scheduled time or not."""
        self._started[slot] = now
        (self._serving.add if is_serving else self._serving.discard)(slot)

    def is_asked_for(self, slot: Slot) -> bool:
        """Tell whether somebody asked for a run of a slot that has not begun since."""
        asked = self._asked.get(slot.service)
        return asked is not None and self._started.get(slot, Nanos(-1)) < asked

    def slots(self) -> list[Slot]:
        """List what was started for a scheduled time."""
        return list(self._serving)

    def has_come_to_nothing(self, slot: Slot, newest: Nanos) -> bool:
        """Tell whether no process has come of the last start; then it has served no time."""
        is_void = self._started.get(slot, Nanos(-1)) > newest
        if is_void and slot in self._serving:
            self._serving.discard(slot)
            for known in (self._served, self._spans):
                if known.get(slot):
                    known[slot].pop()
        return is_void

    def serves(self, slot: Slot, spec: ServiceSpec, because: str, wall: WallTime) -> bool:
        """Tell whether a start serves a scheduled time that no other start has served.

        It may have waited for long, and then begin shortly before one that is at its time.
        """
        schedule = spec.schedule
        assert schedule is not None
        before = self._schedules.get(slot.service)
        if before is None or not before.is_at_the_times_of(schedule):
            self._schedules[slot.service] = schedule
            self._forget(slot.service)
        if schedule.every is not None:
            return self._serves_span(slot, schedule.every, because)
        served = self._served.setdefault(slot, [])
        free = [at for at in _last_times(schedule.cron, wall) if at not in served]
        served += free[:1]
        return bool(free)

    def _serves_span(self, slot: Slot, every: Nanos, because: str) -> bool:
        times = self._told[slot.service]
        newest = next(reversed(times.values()))
        named = (at for label, at in times.items() if label in because)
        served = self._spans.setdefault(slot, [])
        served.append(next(named, newest))
        return len(served) == 1 or served[-1] - served[-2] >= every

    def _forget(self, service: ServiceName) -> None:
        for known in (self._served, self._spans):
            for slot in [slot for slot in known if slot.service == service]:
                del known[slot]


def times_between(cron: str, after: WallTime, until: WallTime) -> int:
    """Count the times of an expression in a span, which is empty where it ends before it began."""
    step = STEPS[cron] * SECOND
    return max(0, until // step - after // step)


def _last_times(cron: str, wall: WallTime) -> list[WallTime]:
    """Give the last times of an expression, oldest first; of those that are used here."""
    step = STEPS[cron]
    newest = wall // SECOND // step * step
    assert datetime.fromtimestamp(newest, UTC).second == 0
    return [WallTime((newest - back * step) * SECOND) for back in reversed(range(MAY_WAIT))]
